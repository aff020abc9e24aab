"""The look at an environment before something starts in it."""

from pathlib import Path

import pytest

from studiolo.contract.errors import Denied
from studiolo.packages.policy.effective import Policy
from studiolo.packages.policy.rules import read_entry
from studiolo.server.packages.startup import StartupScan


def _environment(folder: Path, *packages: str) -> Path:
    for package in packages:
        name, _, version = package.partition("==")
        info = folder / "lib/python3.11/site-packages" / f"{name}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (info / "RECORD").write_text("")
    return folder


def _scan(*entries: str, blocked: str = "") -> StartupScan:
    rules = tuple(read_entry(entry, "the start-up list") for entry in entries) if entries else None

    async def find(workspace_id: str) -> tuple[int, Policy]:
        return 1, Policy(startup_blocked=rules, blocked=(read_entry(blocked, "the default policy"),) if blocked else ())

    return StartupScan(find)


async def test_a_listed_package_is_named_with_its_version_and_the_entry(tmp_path: Path) -> None:
    environment = _environment(tmp_path, "requests==2.32.5", "six==1.17.0")
    with pytest.raises(Denied, match=r"requests 2\.32\.5 \(requests\)") as refused:
        await _scan("requests", "httpx").check("w-1", environment)
    assert refused.value.code == "environment-refused"
    assert "the start-up list" in (refused.value.hint or "")


async def test_what_may_not_be_installed_may_be_there_at_the_start(tmp_path: Path) -> None:
    environment = _environment(tmp_path, "requests==2.32.5")
    await _scan(blocked="requests").check("w-1", environment)
    await _scan("httpx", blocked="requests").check("w-1", environment)


async def test_an_environment_that_is_not_there_is_not_refused(tmp_path: Path) -> None:
    await _scan("requests").check("w-1", tmp_path / "nowhere")
