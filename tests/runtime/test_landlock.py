"""Landlock: what is kept in some folders writes nowhere else."""

import subprocess
from pathlib import Path

import pytest

from studiolo.runtime import landlock

pytestmark = pytest.mark.skipif(landlock.find_version() == 0, reason="this kernel has no Landlock")


def test_a_confined_program_writes_and_moves_in_its_folders_alone(tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    (inside / "link").symlink_to(outside)
    (outside / "there").write_text("before")
    script = (
        "mkdir d && echo a > a && mv a d/a && cat ../outside/there >/dev/null;"
        "echo x > ../outside/new; echo x > link/new; echo x > ../outside/there; rm ../outside/there; mv d ../outside"
    )

    subprocess.run(landlock.command([inside], ["sh", "-c", script]), cwd=inside, check=False, capture_output=True)

    assert (inside / "d/a").read_text() == "a\n"
    assert [path.name for path in outside.iterdir()] == ["there"]
    assert (outside / "there").read_text() == "before"


def test_a_confined_program_fails_with_its_own_code(tmp_path: Path) -> None:
    assert subprocess.run(landlock.command([tmp_path], ["sh", "-c", "exit 7"]), check=False).returncode == 7
