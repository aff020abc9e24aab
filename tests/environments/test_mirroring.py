"""A spare brought up to a live environment, and two environments exchanged in one step."""

from pathlib import Path

import pytest

from studiolo.server.environments import exchange as exchanging
from studiolo.server.environments.clone import clone
from studiolo.server.environments.exchange import exchange
from studiolo.server.environments.mirroring import mirror


@pytest.fixture
def live(tmp_path: Path) -> Path:
    """A clone in which much has happened since, beside a fresh one of the same base."""
    base = tmp_path / "base-1"
    (base / "lib/site/gone").mkdir(parents=True)
    (base / "pyvenv.cfg").write_text("home = /usr")
    for name in ("kept.py", "edited.py", "removed.py", "linked.so", "gone/inner.py", "becomes_folder", "swapped"):
        (base / "lib/site" / name).write_text(name)
    (base / "lib/site/link").symlink_to("kept.py")
    for name in ("live", "spare"):
        clone(base, tmp_path / name)
    site = tmp_path / "live/lib/site"
    (site / "edited.py").write_text("edited by hand")
    (site / "removed.py").unlink()
    (site / "gone/inner.py").unlink()
    (site / "gone").rmdir()
    (site / "fresh").mkdir()
    (site / "fresh/__init__.py").write_text("new")
    (site / "becomes_folder").unlink()
    (site / "becomes_folder").mkdir()
    (site / "link").unlink()
    (site / "link").symlink_to("edited.py")
    (site / "swapped").unlink()
    (site / "swapped").symlink_to("/etc/passwd")
    return tmp_path / "live"


def _content(top: Path) -> dict[str, str]:
    found = {}
    for path in sorted(top.rglob("*")):
        kind = "link" if path.is_symlink() else "folder" if path.is_dir() else "file"
        said = str(path.readlink()) if kind == "link" else path.read_text() if kind == "file" else ""
        found[str(path.relative_to(top))] = f"{kind}: {said}"
    return found


def test_a_spare_holds_what_the_live_one_holds(live: Path) -> None:
    spare = live.with_name("spare")
    mirror(live, spare)
    assert _content(spare) == _content(live)


def test_what_is_the_same_is_not_written_again(live: Path) -> None:
    kept = live.with_name("spare") / "lib/site/kept.py"
    before = kept.stat()
    mirror(live, live.with_name("spare"))
    assert (kept.stat().st_ino, kept.stat().st_ctime_ns) == (before.st_ino, before.st_ctime_ns)


def test_an_edit_in_the_copy_does_not_reach_the_live_one(live: Path) -> None:
    spare = live.with_name("spare")
    mirror(live, spare)
    (spare / "lib/site/edited.py").write_text("edited in the copy")
    assert (live / "lib/site/edited.py").read_text() == "edited by hand"


@pytest.mark.parametrize("in_one_step", [True, False])
def test_two_environments_change_places(live: Path, monkeypatch: pytest.MonkeyPatch, in_one_step: bool) -> None:
    if not in_one_step:
        monkeypatch.setattr(exchanging, "_renameat2", lambda one, other: False)
    spare = live.with_name("spare")
    was, is_now = _content(live), _content(spare)
    exchange(spare, live)
    assert (_content(live), _content(spare)) == (is_now, was)
    assert sorted(path.name for path in live.parent.iterdir()) == ["base-1", "live", "spare"]


def test_an_exchange_with_nothing_is_a_move(live: Path) -> None:
    exchange(live, live.with_name("absent"))
    assert not live.exists()
