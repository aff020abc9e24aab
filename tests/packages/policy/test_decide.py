"""The judgement: what comes before what, for projects, versions and files."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studiolo.packages.policy.decide import decide
from studiolo.packages.policy.decisions import Subject, Verdict
from studiolo.packages.policy.effective import Grant, Policy
from studiolo.packages.policy.rules import Rule, read_entry

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
BASE_FILE = "ab" * 32


def rules(*entries: str) -> tuple[Rule, ...]:
    return tuple(read_entry(entry, "organisation policy 3") for entry in entries)


POLICY = Policy(
    channels=("internal", "defaults"),
    internal_names=("acme-*",),
    blocked=rules("requests", "urllib3", "socket", "os.system", "six==1.17.0"),
    approval_required=rules("pytorch", "tensorflow>=2.20"),
    pins=rules("pandas<3"),
    base_files=frozenset({BASE_FILE}),
)


def judge(
    name: str, version: str | None = None, *, policy: Policy = POLICY, now: datetime = NOW, **more: object
) -> tuple[str, str]:
    subject = Subject("pypi", name, version, **more)  # type: ignore[arg-type]
    decision = decide(policy, subject, now)
    return decision.verdict, decision.code


def granted(name: str, specifier: str = "", *, kind: str = "approval", until: datetime | None = None) -> Policy:
    grant = Grant(kind, None, name, specifier, "needed", "Mia on 3 May", until)  # type: ignore[arg-type]
    return replace(POLICY, grants=(grant,))


@pytest.mark.parametrize(
    ("name", "version", "expected"),
    [
        ("numpy", "2.3", ("allow", "allowed")),
        ("requests", None, ("refuse", "blocked")),
        ("Requests", "2.0", ("refuse", "blocked")),
        ("socket", None, ("refuse", "blocked")),
        ("six", None, ("allow", "allowed")),
        ("six", "1.17.0", ("hide", "blocked")),
        ("six", "1.16.0", ("allow", "allowed")),
        ("six", "odd-version", ("hide", "blocked")),
        ("torch", None, ("refuse", "approval-required")),
        ("tensorflow", None, ("allow", "allowed")),
        ("tensorflow-cpu", "2.21", ("hide", "approval-required")),
        ("pandas", "2.3.3", ("allow", "allowed")),
        ("pandas", "3.0", ("hide", "pinned")),
        ("urllib-3", None, ("refuse", "look-alike")),
        ("rocket", None, ("allow", "allowed")),
    ],
)
def test_projects_are_refused_whole_and_versions_are_hidden(
    name: str, version: str | None, expected: tuple[str, str]
) -> None:
    assert judge(name, version) == expected


def test_a_refusal_names_rule_place_and_reason() -> None:
    decision = decide(POLICY, Subject("conda", "torch-nightly"), NOW)
    assert decision.rule == "approval_required: pytorch"
    assert decision.source == "organisation policy 3"
    assert decision.because == "torch-nightly needs an approval: the rule for pytorch covers it."


def test_the_bases_own_files_pass_whatever_is_blocked() -> None:
    assert judge("requests", "2.32.5", sha256=BASE_FILE) == ("allow", "base")
    assert judge("requests", "2.32.5", sha256="cd" * 32) == ("refuse", "blocked")


def test_a_channel_that_is_not_trusted_is_refused_even_with_an_exception() -> None:
    lifted = granted("six", kind="exception")
    assert judge("six", "1.17.0", policy=lifted, channel="defaults") == ("allow", "granted")
    assert judge("six", "1.17.0", policy=lifted, channel="elsewhere") == ("refuse", "untrusted-channel")


def test_internal_names_are_answered_by_the_organisations_channels_alone() -> None:
    trying = replace(granted("acme-core", kind="exception"), dry_run=True)
    assert judge("acme-core", "1.0", channel="internal") == ("allow", "allowed")
    assert judge("acme-core", "99.0", channel="defaults") == ("refuse", "internal-name")
    assert judge("acme_core", "99.0", policy=trying, channel="defaults") == ("refuse", "internal-name")


def test_an_approval_lifts_what_asks_for_one_and_no_block() -> None:
    assert judge("torch", "2.9", policy=granted("pytorch")) == ("allow", "granted")
    assert judge("requests", "2.0", policy=granted("requests")) == ("refuse", "blocked")
    assert judge("requests2", policy=granted("requests2")) == ("allow", "granted")


def test_an_approval_of_versions_shows_the_project_and_hides_the_others() -> None:
    some = granted("torch", "==2.9")
    assert judge("torch", policy=some) == ("allow", "allowed")
    assert judge("torch", "2.9", policy=some) == ("allow", "granted")
    assert judge("torch", "2.8", policy=some) == ("hide", "approval-required")


def test_an_exception_lifts_a_block_for_its_versions_until_it_ends() -> None:
    until = NOW + timedelta(days=1)
    lifted = granted("requests", "==2.32.5", kind="exception", until=until)
    assert judge("requests", policy=lifted) == ("allow", "allowed")
    assert judge("requests", "2.32.5", policy=lifted) == ("allow", "granted")
    assert judge("requests", "2.0", policy=lifted) == ("hide", "blocked")
    assert judge("requests", "2.32.5", policy=lifted, now=until) == ("refuse", "blocked")


def test_an_allowlist_refuses_what_it_does_not_name_and_hides_versions() -> None:
    listed = replace(POLICY, mode="allowlist", allowlist=rules("numpy", "pandas>=2"), pins=())
    assert judge("scipy", policy=listed) == ("refuse", "not-allowlisted")
    assert judge("numpy", "1.0", policy=listed) == ("allow", "allowed")
    assert judge("pandas", "1.5", policy=listed) == ("hide", "pinned")
    approved = replace(listed, grants=granted("scipy", ">=1.10").grants)
    assert judge("scipy", policy=approved) == ("allow", "allowed")
    assert judge("scipy", "1.16", policy=approved) == ("allow", "granted")
    assert judge("scipy", "1.9", policy=approved) == ("hide", "not-allowlisted")


def test_source_distributions_are_hidden_where_only_wheels_are_allowed() -> None:
    assert judge("numpy", "2.3", file="numpy-2.3.tar.gz", is_wheel=False) == ("hide", "not-a-wheel")
    assert judge("numpy", "2.3", policy=replace(POLICY, wheels_only=False), is_wheel=False) == ("allow", "allowed")


def test_what_is_too_new_is_hidden_until_its_day_and_without_a_date_for_good() -> None:
    waiting = replace(POLICY, cooldown_days=7, cooldown_exempt_channels=("internal",))
    fresh, file = NOW - timedelta(days=6), "numpy-2.3-py3-none-any.whl"
    decision = decide(waiting, Subject("pypi", "numpy", "2.3", file, uploaded_at=fresh), NOW)
    assert (decision.code, decision.until) == ("too-new", NOW + timedelta(days=1))
    assert judge("numpy", "2.3", policy=waiting, file=file) == ("hide", "too-new")
    assert judge("numpy", "2.3", policy=waiting) == ("allow", "allowed")
    assert judge("numpy", "2.3", policy=waiting, file=file, channel="internal") == ("allow", "allowed")
    assert judge("numpy", "2.3", policy=waiting, uploaded_at=NOW - timedelta(days=7)) == ("allow", "allowed")


def test_a_dry_run_lets_pass_and_tells() -> None:
    decision = decide(replace(POLICY, dry_run=True), Subject("pypi", "requests"), NOW)
    assert decision.is_allowed
    assert decision.is_only_told
    assert decision.code == "blocked"
    assert not decide(POLICY, Subject("pypi", "numpy"), NOW).is_only_told


def test_a_policy_is_known_by_what_it_says() -> None:
    full = replace(granted("torch", "==2.9", until=NOW), startup_blocked=rules("httpx"), sources={"mode": "x"})
    again = Policy.from_json(full.to_json())
    assert (again, again.hash) == (full, full.hash)
    assert Policy.from_json(full.to_json(with_base_files=False), base_files=full.base_files) == full
    assert replace(full, mode="allowlist").hash != full.hash
    assert replace(full, base_files=frozenset()).hash != full.hash
    with pytest.raises(ValueError, match="not those"):
        Policy.from_json(full.to_json(with_base_files=False))


_some_names = st.sampled_from(
    ["requests", "torch", "pytorch", "six", "pandas", "numpy", "acme-x", "requests2", "socket"]
)
_versions = st.none() | st.sampled_from(["1.17.0", "2.9", "3.0", "2.3.3"])
_subjects = st.builds(
    Subject,
    st.sampled_from(["pypi", "conda"]),
    _some_names,
    _versions,
    channel=st.sampled_from([None, "internal", "defaults", "elsewhere"]),
    is_wheel=st.none() | st.booleans(),
)
_grants = st.builds(
    Grant,
    st.sampled_from(["approval", "exception"]),
    st.sampled_from([None, "pypi", "conda"]),
    _some_names,
    st.sampled_from(["", "==2.9", "<3"]),
    st.just("needed"),
    st.just("Mia"),
    st.sampled_from([None, NOW - timedelta(days=1), NOW + timedelta(days=1)]),
)
_policies = st.builds(
    Policy,
    channels=st.just(("internal", "defaults")),
    internal_names=st.sampled_from([(), ("acme-*",)]),
    blocked=st.sampled_from([(), POLICY.blocked]),
    approval_required=st.sampled_from([(), POLICY.approval_required]),
    allowlist=st.sampled_from([(), rules("pandas<3", "numpy")]),
    pins=st.sampled_from([(), POLICY.pins]),
    grants=st.lists(_grants, max_size=2).map(tuple),
    mode=st.sampled_from(["open", "allowlist"]),
    wheels_only=st.booleans(),
    dry_run=st.booleans(),
)


@given(_policies, _subjects)
def test_every_question_has_one_answer_with_a_sentence(policy: Policy, subject: Subject) -> None:
    decision = decide(policy, subject, NOW)
    assert decision == decide(Policy.from_json(policy.to_json()), subject, NOW)
    assert decision.because.endswith(".") or decision.code == "granted"
    assert decision.rule or decision.code in ("allowed", "base")
    assert subject.version or decision.verdict is not Verdict.HIDE


@given(_policies, _subjects)
def test_a_refused_project_has_no_version_that_passes(policy: Policy, subject: Subject) -> None:
    whole = decide(policy, replace(subject, version=None), NOW)
    one = decide(policy, subject, NOW)
    assert one.is_allowed <= whole.is_allowed


@given(_policies, _subjects)
def test_more_rules_never_let_more_pass(policy: Policy, subject: Subject) -> None:
    stricter = replace(policy, blocked=(*policy.blocked, *rules("numpy", "pandas>=3")), wheels_only=True, dry_run=False)
    assert decide(stricter, subject, NOW).is_allowed <= decide(policy, subject, NOW).is_allowed
