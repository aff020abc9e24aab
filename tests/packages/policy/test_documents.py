"""Policies as people write them: every entry is read at load, and a bad one is named with its line."""

from datetime import UTC, datetime, timedelta

import pytest

from studiolo.contract.errors import InvalidInput
from studiolo.packages.policy.documents import Document, default_document, over_default, read_document
from studiolo.packages.policy.merging import Override, Part, merge, read_override
from studiolo.packages.policy.rules import read_entry

SEED = """\
# workspace-security.yaml
package_management:
  trusted_channels:
    - conda-forge
    - defaults
    - company-internal  # Custom channel

  blocked_packages:
    - requests
    - os.system

  approval_required:
    - tensorflow
    - pytorch
    - custom-package

  allowlist:
    - numpy
    - scikit-learn
"""


def read(text: str) -> Document:
    return read_document(text, "workspace policy 1")


def organisation(text: str = "") -> Document:
    return over_default(read_document(text, "organisation policy 3"))


def test_the_seeds_file_is_read() -> None:
    found = read(SEED)
    assert found.trusted_channels == ("conda-forge", "defaults", "company-internal")
    assert [(rule.kind, rule.name) for rule in found.blocked_packages or ()] == [
        ("distribution", "requests"),
        ("call", "os.system"),
    ]
    assert [rule.name for rule in found.approval_required or ()] == ["tensorflow", "pytorch", "custom-package"]
    assert [rule.name for rule in found.allowlist or ()] == ["numpy", "scikit-learn"]
    assert found.mode is None


def test_the_products_policy_is_the_promised_one() -> None:
    default = default_document()
    assert default.trusted_channels == ("conda-forge", "defaults", "pytorch", "nvidia")
    assert [rule.entry for rule in default.blocked_packages or ()] == [
        "requests",
        "urllib3",
        "socket",
        "subprocess",
        "os.system",
    ]


def test_all_other_keys_are_read() -> None:
    found = read(
        "package_management:\n"
        "  internal_names: ['Acme_*']\n  pins: [numpy==1.26.4]\n  mode: allowlist\n  transitive: explicit\n"
        "  on_blocked_dependency: backtrack\n  wheels_only: false\n  cooldown_days: 7\n"
        "  cooldown_exempt_channels: [internal]\n  startup_blocked_packages: 'off'\n  code_rules: guard\n  dry_run: true\n"
        "  exceptions: [{spec: six==1.17.0, by: Mia, until: 2026-12-01, reason: a fix}]\n"
    )
    assert found.internal_names == ("acme-*",)
    assert (found.mode, found.transitive, found.on_blocked_dependency) == ("allowlist", "explicit", "backtrack")
    assert (found.wheels_only, found.cooldown_days, found.dry_run, found.code_rules) == (False, 7, True, "guard")
    assert found.startup_blocked_packages == ()
    (lifted,) = found.exceptions or ()
    assert (lifted.name, lifted.specifier, lifted.by) == ("six", "==1.17.0", "workspace policy 1, by Mia")
    assert lifted.until == datetime(2026, 12, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("line", "place", "words"),
    [
        ("blocked_packages: [six, 'a b']", (2, 27), "is no rule"),
        ("blocked_packages: requests", (2, 21), "must be a list"),
        ("blocked_package: []", (2, 3), "Did you mean blocked_packages?"),
        ("approval_required: [socket]", (2, 23), "module of the standard library"),
        ("pins: [numpy]", (2, 10), "names no versions"),
        ("mode: closed", (2, 9), "write open or allowlist"),
        ("wheels_only: yes", (2, 16), "write true or false"),
        ("cooldown_days: soon", (2, 18), "number of days"),
        ("startup_blocked_packages: 'on'", (2, 29), "write off"),
        ("exceptions: [{spec: six, until: 2026-12-01}]", (2, 16), "has no reason"),
        ("exceptions: [{spec: six, until: whenever, reason: x}]", (2, 35), "is no day"),
        ("trusted_channels: ['https://host/x']", (2, 22), "is no name of a channel"),
        ("internal_names: ['*']", (2, 20), "is no pattern"),
    ],
)
def test_a_fault_is_named_with_its_place(line: str, place: tuple[int, int], words: str) -> None:
    with pytest.raises(InvalidInput, match="line 2") as caught:
        read(f"package_management:\n  {line}\n")
    assert caught.value.code == "policy-invalid"
    (fault,) = caught.value.extra["errors"]
    assert (fault["line"], fault["column"]) == place
    assert words in fault["message"]


def test_an_exception_that_has_ended_is_a_fault_only_where_somebody_sets_it() -> None:
    text = "package_management:\n  exceptions: [{spec: six, until: 2026-12-01, reason: x}]\n"
    end = datetime(2026, 12, 2, tzinfo=UTC)
    assert read_document(text, "a test", now=end - timedelta(seconds=1)).exceptions
    with pytest.raises(InvalidInput, match=r"exceptions\[0\]\.until '2026-12-01' is past; name a later day"):
        read_document(text, "a test", now=end)
    assert read_document(text, "a test").exceptions


@pytest.mark.parametrize("text", ["- x", "other: 1", "package_management: x", "a: &b c", "\0", "{" * 50, "x" * 70_000])
def test_what_is_no_policy_is_refused_with_a_place(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read(text)
    assert caught.value.extra["errors"][0]["line"] == 1


def test_a_workspaces_own_people_can_only_narrow() -> None:
    wish = read(
        "package_management:\n  trusted_channels: [company-internal, defaults]\n  blocked_packages: [six]\n"
        "  wheels_only: false\n  dry_run: true\n  cooldown_days: 3\n"
        "  exceptions: [{spec: requests, until: 2026-12-01, reason: x}]\n"
    )
    policy = merge(organisation(), [Part(wish, may_widen=False)])
    assert policy.channels == ("defaults",)
    assert "six" in policy.blocked_by_name
    assert "requests" in policy.blocked_by_name
    assert (policy.wheels_only, policy.dry_run, policy.cooldown_days, policy.grants) == (True, False, 3, ())
    assert [note.partition(":")[2].split()[0].strip(",:") for note in policy.notes] == [
        "company-internal",
        "exceptions",
    ]


def test_an_administrators_words_for_a_workspace_may_widen() -> None:
    wish = read(
        "package_management:\n  trusted_channels: [company-internal, defaults]\n  wheels_only: false\n"
        "  exceptions: [{spec: requests, until: 2026-12-01, reason: x}]\n"
    )
    policy = merge(organisation(), [Part(wish, may_widen=True)])
    assert policy.channels == ("company-internal", "defaults")
    assert policy.internal_channels == {"company-internal"}
    assert not policy.wheels_only
    assert [grant.name for grant in policy.grants] == ["requests"]
    assert policy.sources["wheels_only"] == "workspace policy 1"


def test_an_allowlist_from_above_is_not_widened_from_below() -> None:
    above = organisation("package_management:\n  mode: allowlist\n  allowlist: [numpy]\n")
    wish = read("package_management:\n  allowlist: [scipy]\n")
    assert set(merge(above, [Part(wish, may_widen=False)]).allowed_by_name) == {"numpy"}
    assert set(merge(above, [Part(wish, may_widen=True)]).allowed_by_name) == {"numpy", "scipy"}
    own = read("package_management:\n  mode: allowlist\n  allowlist: [scipy]\n")
    assert set(merge(organisation(), [Part(own, may_widen=False)]).allowed_by_name) == {"scipy"}


def test_what_an_organisation_leaves_out_stays_the_products() -> None:
    policy = merge(organisation("package_management:\n  blocked_packages: []\n  cooldown_days: 7\n"))
    assert (policy.blocked, policy.cooldown_days, policy.wheels_only) == ((), 7, True)
    assert policy.channels == default_document().trusted_channels


def test_a_variable_replaces_the_whole_blocked_list() -> None:
    wish = Part(read("package_management:\n  blocked_packages: [six]\n"), may_widen=False)
    override = read_override("aiohttp, telnetlib", "FETCHML_JUPYTER_BLOCKED_PACKAGES")
    policy = merge(organisation(), [wish], blocked=override)
    assert [rule.entry for rule in policy.blocked] == ["aiohttp", "telnetlib"]
    with pytest.raises(ValueError, match="FETCHML_JUPYTER_BLOCKED_PACKAGES: 'a b'"):
        read_override("six,a b", "FETCHML_JUPYTER_BLOCKED_PACKAGES")


def test_a_start_up_list_that_is_off_is_none() -> None:
    listed = read("package_management:\n  startup_blocked_packages: [httpx]\n")
    assert merge(organisation()).startup_blocked is None
    assert merge(organisation(), startup_blocked=Override((), "env")).startup_blocked is None
    found = merge(organisation(), [Part(listed, may_widen=False)]).startup_blocked
    assert found == (read_entry("httpx", "workspace policy 1"),)
