"""Becoming a workspace's account for good."""

import json
import os
from pathlib import Path

import pytest

from studiolo.runtime import account
from studiolo.runtime.acting import LOWEST, is_possible

pytestmark = pytest.mark.skipif(not is_possible(), reason="only root of a Linux can become others")
_NONE = "0" * 16


def _told_by_child(tmp_path: Path, number: int) -> dict[str, object]:
    """Return what a fork sees of itself once it has become an account."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            account.take(number)
            status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
            names = ("Uid", "Gid", "Groups", "CapEff", "CapPrm", "CapInh", "CapAmb", "NoNewPrivs", "Umask")
            told: dict[str, object] = {name: status[name].split() for name in names}
            told["variables"] = bool(Path("/proc/self/environ").read_bytes())
            with os.fdopen(theirs, "w") as pipe:
                json.dump(told, pipe)
        finally:
            os._exit(0)
    os.close(theirs)
    with os.fdopen(ours) as pipe:
        written = pipe.read()
    os.waitpid(pid, 0)
    return dict(json.loads(written))


def test_who_becomes_an_account_has_nothing_of_roots(tmp_path: Path) -> None:
    number = str(LOWEST)
    assert _told_by_child(tmp_path, LOWEST) == {
        "Uid": [number] * 4,
        "Gid": [number] * 4,
        "Groups": [],
        **{name: [_NONE] for name in ("CapEff", "CapPrm", "CapInh", "CapAmb")},
        "NoNewPrivs": ["1"],
        "Umask": ["0077"],
        "variables": True,
    }


def test_without_an_account_all_stays_as_it_is(tmp_path: Path) -> None:
    told = _told_by_child(tmp_path, 0)
    assert told["Uid"] == [str(os.geteuid())] * 4
    assert told["NoNewPrivs"] == ["0"]


def test_a_home_is_the_persons_folder_of_settings() -> None:
    given = {"JUPYTER_CONFIG_DIR": "/people/p/w/config", "HOME": "/root", "XDG_RUNTIME_DIR": "/run/user/0", "A": "1"}
    own = {"HOME": "/people/p/w", "USER": "w7", "LOGNAME": "w7"}
    assert account.at_home(given, 7) == {"JUPYTER_CONFIG_DIR": "/people/p/w/config", "A": "1", **own}
    assert account.at_home(given, 0) == given


def test_the_way_to_what_an_account_owns_can_be_passed_and_not_read(tmp_path: Path) -> None:
    own = tmp_path / "launch" / "own"
    account.make_own(own, LOWEST)
    seen = own.stat()
    assert (seen.st_uid, seen.st_gid, seen.st_mode & 0o777) == (LOWEST, LOWEST, 0o700)
    assert own.parent.stat().st_mode & 0o777 == 0o711
