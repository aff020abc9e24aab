"""Where packages come from is proven by what was delivered to this workspace, and judged by the policy of now."""

import zipfile
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from environments.wheels import make_wheel
from studiolo.contract.scans import Finding
from studiolo.packages.installed.fingerprint import of_wheel
from studiolo.packages.installed.reading import read_environment
from studiolo.packages.policy.effective import Grant, Policy
from studiolo.packages.policy.rules import read_entry
from studiolo.packages.scan.environment import Delivery, gather_proofs, judge_environment, list_packages
from studiolo.packages.scan.startup import find_listed

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
OPEN = Policy(channels=("defaults",))


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    """An environment without anything in it."""
    made = tmp_path / "w-one"
    site_of(made).mkdir(parents=True)
    return made


def site_of(prefix: Path) -> Path:
    return prefix / "lib" / "python3.11" / "site-packages"


def unpack(prefix: Path, wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site_of(prefix))


def delivered(wheel: Path, name: str, version: str, channel: str = "defaults") -> Delivery:
    return Delivery("pypi", name, version, wheel.name, channel, "ab" * 32, of_wheel(wheel))


def judge(
    prefix: Path, *deliveries: Delivery, policy: Policy = OPEN, bases: Iterable[Path] = ()
) -> dict[str, list[Finding]]:
    """Return the findings by rule."""
    proofs = gather_proofs(bases, deliveries)
    found: dict[str, list[Finding]] = {}
    for finding in judge_environment(prefix, read_environment(prefix), proofs, policy, NOW):
        found.setdefault(finding.rule, []).append(finding)
    return found


def test_what_was_delivered_to_this_workspace_is_proven_however_it_was_installed(prefix: Path, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "tiny", "1.0")
    unpack(prefix, wheel)
    delivery = delivered(wheel, "tiny", "1.0")
    assert judge(prefix, delivery) == {}
    (package,) = list_packages(read_environment(prefix), gather_proofs((), [delivery]))
    assert (package.origin, package.sha256) == ("index", delivery.sha256)


def test_what_nobody_delivered_here_is_unverified(prefix: Path, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "tiny", "1.0")
    unpack(prefix, wheel)
    # The ledger of another workspace is not looked at: what it was given proves nothing here.
    (finding,) = judge(prefix)["unverified-package"]
    assert finding.place.package == "tiny 1.0"


def test_other_content_under_a_delivered_name_and_version_is_unverified(prefix: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    unpack(prefix, make_wheel(tmp_path / "other", "tiny", "1.0", extra={"tiny/more.py": "more = 1\n"}))
    delivery = delivered(make_wheel(tmp_path, "tiny", "1.0"), "tiny", "1.0")
    assert set(judge(prefix, delivery)) == {"unverified-package"}


def test_an_edited_file_is_found_and_named(prefix: Path, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "tiny", "1.0")
    unpack(prefix, wheel)
    with (site_of(prefix) / "tiny" / "__init__.py").open("a") as file:
        file.write("import os\n")
    (finding,) = judge(prefix, delivered(wheel, "tiny", "1.0"))["modified-package"]
    assert "tiny/__init__.py (changed)" in finding.what


def test_planted_code_is_found_and_a_hook_is_worse_than_a_module(prefix: Path) -> None:
    (site_of(prefix) / "evil.pth").write_text("import os; os.system('id')\n")
    (site_of(prefix) / "stray.py").write_text("x = 1\n")
    found = judge(prefix)
    assert [f.place.path for f in found["start-hook"]] == ["lib/python3.11/site-packages/evil.pth"]
    assert [f.place.path for f in found["orphaned-code"]] == ["lib/python3.11/site-packages/stray.py"]
    assert found["start-hook"][0].severity.rank > found["orphaned-code"][0].severity.rank


@pytest.mark.parametrize(
    "record",
    ["../../../../../../etc/passwd,,\n", "/etc/passwd,sha256=x,1\n", "a\0b,,\n", '"' + "x" * 200_000],
    ids=("upwards", "absolute", "nul", "one long line"),
)
def test_a_record_that_cannot_be_trusted_is_a_finding(prefix: Path, record: str) -> None:
    info = site_of(prefix) / "odd-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: odd\nVersion: 1.0\n")
    (info / "RECORD").write_text(record)
    found = judge(prefix)
    assert "unreadable-package" in found
    assert [f.place.package for f in found["unverified-package"]] == ["odd 1.0"]


def test_what_the_base_has_is_allowed_whatever_is_blocked(prefix: Path, tmp_path: Path) -> None:
    base = tmp_path / "base-one"
    wheel = make_wheel(tmp_path, "requests", "2.0")
    for environment in (base, prefix):
        site_of(environment).mkdir(parents=True, exist_ok=True)
        unpack(environment, wheel)
        (site_of(environment) / "of_base.pth").write_text("import x\n")
    policy = Policy(blocked=(read_entry("requests", "the default"),))
    assert judge(prefix, policy=policy, bases=[base]) == {}
    # A file of that name is not the base's file.
    (site_of(prefix) / "of_base.pth").write_text("import y\n")
    assert set(judge(prefix, policy=policy, bases=[base])) == {"start-hook"}


def test_a_package_is_judged_again_by_the_policy_of_now(prefix: Path, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "tiny", "1.0")
    unpack(prefix, wheel)
    delivery = delivered(wheel, "tiny", "1.0")
    blocking = replace(OPEN, blocked=(read_entry("tiny", "the organisation's policy 3"),))
    (finding,) = judge(prefix, delivery, policy=blocking)["blocked-package"]
    assert "the organisation's policy 3" in finding.what
    pinned = replace(OPEN, pins=(read_entry("tiny<1", "the workspace's policy"),))
    assert set(judge(prefix, delivery, policy=pinned)) == {"version-not-allowed"}
    grant = Grant("exception", None, "tiny", "", "needed until Friday", "Mia")
    assert judge(prefix, delivery, policy=replace(blocking, grants=(grant,))) == {}


def test_a_channel_that_is_trusted_no_longer_is_told(prefix: Path, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "tiny", "1.0")
    unpack(prefix, wheel)
    found = judge(prefix, delivered(wheel, "tiny", "1.0", channel="old-mirror"))
    assert "old-mirror is no trusted channel here" in found["blocked-package"][0].what


def test_copies_of_blocked_packages_inside_others_are_found(prefix: Path, tmp_path: Path) -> None:
    extra = {
        "tiny/_vendor/requests/__init__.py": "",
        "tiny/_vendor/idna.py": "",
        "tiny/packages/urllib3/__init__.py": "",
    }
    wheel = make_wheel(tmp_path, "tiny", "1.0", extra=extra)
    unpack(prefix, wheel)
    policy = replace(OPEN, blocked=tuple(read_entry(name, "the default") for name in ("requests", "urllib3")))
    found = judge(prefix, delivered(wheel, "tiny", "1.0"), policy=policy)
    assert [f.place.path for f in found["vendored-package"]] == ["tiny/_vendor/requests", "tiny/packages/urllib3"]


def test_a_start_is_told_what_is_listed_under_any_of_its_names(prefix: Path, tmp_path: Path) -> None:
    unpack(prefix, make_wheel(tmp_path, "torch", "2.9.0"))
    unpack(prefix, make_wheel(tmp_path, "tiny", "1.0"))
    snapshot = read_environment(prefix)

    def listed(*entries: str) -> list[tuple[str, str]]:
        return [(one.name, one.entry) for one in find_listed(snapshot, [read_entry(e, "variable") for e in entries])]

    assert listed("pytorch", "six") == [("torch", "pytorch")]
    assert listed("tiny<1", "torch>=2") == [("torch", "torch>=2")]
    assert listed("os.system") == []
