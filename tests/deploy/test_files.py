"""The files in deploy/ say what the platform understands, and their tools understand them."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from studiolo.engines.container.settings import ContainerSettings
from studiolo.server.settings import load_settings

DEPLOY = Path(__file__).parents[2] / "deploy"
_GIVEN = re.compile(r"\$\{(\w+):-([^}]*)\}")


def services(*names: str) -> dict[str, Any]:
    """The platform's service in compose files, the later ones over the former, as they are when nothing is chosen."""
    merged: dict[str, Any] = {}
    for name in names:
        text = _GIVEN.sub(lambda found: found[2], (DEPLOY / "compose" / name).read_text())
        for key, value in yaml.safe_load(text)["services"]["platform"].items():
            merged[key] = {**merged[key], **value} if key == "environment" and key in merged else value
    return merged


def unit() -> list[tuple[str, str]]:
    """The lines of the unit's [Service]; a name may stand there more than once."""
    text = (DEPLOY / "systemd/studiolo.service").read_text().partition("[Service]")[2].partition("\n[")[0]
    return [
        (name, value) for name, _, value in (line.partition("=") for line in text.splitlines() if line[:1].isupper())
    ]


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing is set but what a test sets."""
    monkeypatch.setenv("STUDIOLO_CONFIG", str(tmp_path / "none.toml"))


def set_all(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, str(value))


def image_variables() -> dict[str, str]:
    text = (DEPLOY / "images/platform/Containerfile").read_text()
    return dict(re.findall(r"\b(STUDIOLO_\w+)=(\S+)", text))


def test_one_container_listens_where_its_port_is_published(monkeypatch: pytest.MonkeyPatch) -> None:
    service = services("compose.yaml")
    set_all(monkeypatch, image_variables() | service["environment"])
    settings = load_settings()
    assert (settings.host, settings.port, str(settings.data_dir)) == ("0.0.0.0", 8888, "/data")
    assert service["ports"] == [f"127.0.0.1:{settings.port}:{settings.port}"]
    assert "data:/data" in service["volumes"]
    assert settings.address == "http://localhost:8888"


def test_a_platform_beside_the_daemon_has_its_folders_at_the_machines_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    service = services("compose.yaml", "containers.yaml")
    set_all(monkeypatch, image_variables() | service["environment"])
    settings = load_settings()
    container = ContainerSettings.model_validate(settings.engines.tables["container"])
    assert settings.engines.default == "container"
    assert container.runtime == "image"
    assert service["image"] == container.image
    outside, inside = service["volumes"][0].split(":")
    assert outside == inside
    assert settings.data_dir.is_relative_to(inside)
    assert settings.runtime_dir.is_relative_to(inside)
    assert container.url == "unix://" + service["volumes"][1].split(":")[1]


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
    argv = ["systemd-analyze", "security", "--offline=true", "--threshold=30", file]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout[-300:]


def test_the_account_has_the_units_name_and_folder() -> None:
    line = (DEPLOY / "systemd/studiolo.sysusers").read_text().splitlines()[-1]
    said = dict(unit())
    assert line.split()[:2] == ["u", said["User"]]
    assert f"/var/lib/{said['StateDirectory']}" in line.split()


def test_guides_name_files_that_are_there() -> None:
    guide = (DEPLOY.parent / "docs/how-to/deploy.md").read_text()
    named = set(re.findall(r"deploy/[\w./-]+\.\w+|deploy/[\w/-]+file", guide))
    assert len(named) >= 5
    assert [name for name in named if not (DEPLOY.parent / name).exists()] == []
