"""Files that tell tools which index to ask, and how to sign in."""

import stat
from netrc import netrc
from pathlib import Path

import pytest

from studiolo.runtime.toolfiles import write_files, write_netrc

OURS = "machine 127.0.0.1\nlogin session\npassword key\n"


def test_netrc_holds_what_the_accounts_own_holds_and_is_private(tmp_path: Path) -> None:
    (tmp_path / ".netrc").write_text("machine git.example login ana password hers\nmacdef init\ncd /\n\n")
    (tmp_path / ".netrc").chmod(0o600)
    file = tmp_path / "run" / "netrc"
    write_netrc(file, OURS, str(tmp_path))
    assert netrc(str(file)).hosts == {
        "git.example": ("ana", "", "hers"),
        "127.0.0.1": ("session", "", "key"),
    }
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_an_own_netrc_that_no_program_can_read_does_not_spoil_ours(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ".netrc").write_text("machine\nnonsense everywhere\n")
    write_netrc(tmp_path / "netrc", OURS, str(tmp_path))
    assert (tmp_path / "netrc").read_text() == OURS
    assert "left out" in capsys.readouterr().err


def test_without_an_own_netrc_ours_stands_alone(tmp_path: Path) -> None:
    write_netrc(tmp_path / "netrc", OURS, None)
    assert (tmp_path / "netrc").read_text() == OURS


def test_files_that_say_the_same_are_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "folder" / "pip.conf"
    write_files({str(file): "one"})
    before = file.stat().st_ino
    write_files({str(file): "one"})
    assert file.stat().st_ino == before
    write_files({str(file): "two"})
    assert file.read_text() == "two"
