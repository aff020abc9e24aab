"""Entries of policies: what they become, and what is refused."""

import pytest

from studiolo.packages.policy.rules import describe_limits, read_channel, read_entry


@pytest.mark.parametrize(
    ("entry", "kind", "name", "specifier"),
    [
        ("NumPy", "distribution", "numpy", ""),
        ("pandas<3", "distribution", "pandas", "<3"),
        ("six == 1.17.0", "distribution", "six", "==1.17.0"),
        ("numpy=1.26", "distribution", "numpy", "==1.26.*"),
        ("socket", "module", "socket", ""),
        ("telnetlib", "module", "telnetlib", ""),
        ("os.system", "call", "os.system", ""),
        ("zope.interface", "distribution", "zope-interface", ""),
    ],
)
def test_an_entry_becomes_a_rule(entry: str, kind: str, name: str, specifier: str) -> None:
    rule = read_entry(entry, "somewhere")
    assert (rule.kind, rule.name, rule.specifier, rule.source) == (kind, name, specifier, "somewhere")


@pytest.mark.parametrize(
    "entry",
    [
        "",
        "six[extra]",
        "six @ https://host/six.whl",
        "https://host/six.whl",
        "../six",
        "-r requirements.txt",
        "six; python_version < '3'",
        "six==",
        "six==1 2",
        "requ\u0435sts",
        "a\0b",
        "x" * 201,
    ],
)
def test_what_is_no_rule_is_refused_with_words(entry: str) -> None:
    with pytest.raises(ValueError, match=r"\w+ \w+"):
        read_entry(entry, "")


def test_rules_on_code_say_what_they_cannot() -> None:
    assert "an index cannot prevent it" in (describe_limits(read_entry("socket", "")) or "")
    assert "a call" in (describe_limits(read_entry("os.system", "")) or "")
    assert describe_limits(read_entry("six", "")) is None


def test_a_channel_is_a_name_and_never_an_address() -> None:
    assert read_channel("pypi") == "defaults"
    with pytest.raises(ValueError, match="administrator sets addresses"):
        read_channel("https://host/channel")
