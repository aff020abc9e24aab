"""What can be done about refusals, in words."""

from studiolo.packages.policy.decisions import Ecosystem
from studiolo.packages.policy.remedies import remedy_of, wish_of


def test_who_wants_several_packages_asks_once_for_each_kind() -> None:
    refused: list[tuple[str, Ecosystem, str]] = [
        ("blocked", "pypi", "six"),
        ("not-allowlisted", "conda", "r-base"),
        ("too-new", "pypi", "attrs"),
    ]
    said = remedy_of("churn", refused)
    assert said == "Ask for it: studiolo request churn six attrs and studiolo request churn r-base --conda"


def test_what_no_approval_changes_is_not_to_be_asked_for() -> None:
    said = remedy_of("churn", [("untrusted-channel", "pypi", "six")])
    assert said == "An administrator can add it to trusted_channels of the policy."


def test_where_other_versions_pass_the_version_is_what_to_ask_for() -> None:
    assert wish_of("hide", "six", "1.17.0") == "six==1.17.0"
    assert wish_of("refuse", "six", "1.17.0") == wish_of("hide", "six", None) == "six"
