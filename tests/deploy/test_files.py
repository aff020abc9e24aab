"""The files in deploy/ say what the platform understands, and their tools understand them."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from deploy.files import DEPLOY, image_variables, service, unit
from studiolo.engines.container.settings import ContainerSettings
from studiolo.server.settings import load_settings


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing is set but what a test sets."""
    monkeypatch.setenv("STUDIOLO_CONFIG", str(tmp_path / "none.toml"))


def set_all(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def test_one_container_listens_where_its_port_is_published(monkeypatch: pytest.MonkeyPatch) -> None:
    platform = service("compose.yaml")
    set_all(monkeypatch, image_variables() | platform["environment"])
    settings = load_settings()
    assert (settings.host, settings.port, str(settings.data_dir)) == ("0.0.0.0", 8888, "/data")
    assert platform["ports"] == [f"127.0.0.1:{settings.port}:{settings.port}"]
    assert "data:/data" in platform["volumes"]
    assert settings.address == "http://localhost:8888"


def test_a_platform_beside_the_daemon_has_its_folders_at_the_machines_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    platform = service("compose.yaml", "containers.yaml")
    set_all(monkeypatch, image_variables() | platform["environment"])
    settings = load_settings()
    container = ContainerSettings.model_validate(settings.engines.tables["container"])
    assert settings.engines.default == "container"
    assert container.runtime == "image"
    assert platform["image"] == container.image
    outside, inside = platform["volumes"][1].split(":")
    assert outside == inside
    assert settings.data_dir.is_relative_to(inside)
    assert settings.runtime_dir.is_relative_to(inside)
    assert container.url == "unix://" + platform["volumes"][2].split(":")[1]


def test_the_unit_sets_what_the_platform_understands_and_keeps_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = unit()
    set_all(
        monkeypatch, dict(pair.split("=") for name, value in lines if name == "Environment" for pair in value.split())
    )
    settings = load_settings()
    said = dict(lines)
    assert str(settings.data_dir) == f"/var/lib/{said['StateDirectory']}"
    assert str(settings.runtime_dir) == f"/run/{said['RuntimeDirectory']}"
    # What a session needs when the platform is away.
    assert (said["KillMode"], said["RuntimeDirectoryPreserve"], said["OOMPolicy"]) == ("process", "yes", "continue")
    assert not {"PrivateTmp", "RemoveIPC", "DynamicUser", "ProtectControlGroups"} & set(said)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze")
def test_systemd_takes_the_unit_and_finds_it_confined(tmp_path: Path) -> None:
    file = tmp_path / "studiolo.service"
    # The program is not installed here.
    file.write_text(
        (DEPLOY / "systemd/studiolo.service").read_text().replace("/opt/studiolo/bin/studiolo", "/bin/true")
    )
    argv = ["systemd-analyze", "verify", file]
    said = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False).stderr
    # Newer than some that are in use, which leave it out.
    assert [line for line in said.splitlines() if file.name in line and "DelegateSubgroup" not in line] == []
    argv = ["systemd-analyze", "security", "--offline=true", "--threshold=25", file]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout[-300:]


def test_the_account_has_the_units_name_and_folder() -> None:
    line = (DEPLOY / "systemd/studiolo.sysusers").read_text().splitlines()[-1]
    said = dict(unit())
    assert line.split()[:2] == ["u", said["User"]]
    assert f"/var/lib/{said['StateDirectory']}" in line.split()


def test_guides_name_files_that_are_there() -> None:
    guide = (DEPLOY.parent / "docs/how-to/deploy.md").read_text()
    named = set(re.findall(r"(?<![\w/])deploy/[\w/.-]*\w", guide))
    assert len(named) >= 5
    assert [name for name in named if not (DEPLOY.parent / name).exists()] == []
