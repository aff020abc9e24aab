"""Spare clones of bases, and what builds leave behind."""

import asyncio
import errno
from pathlib import Path
from threading import Event

import pytest

from studiolo.server.environments import leftovers as leaving
from studiolo.server.environments import spares as sparing
from studiolo.server.environments.clone import clone, list_stray_spares, spares_of
from studiolo.server.environments.leftovers import Leftovers
from studiolo.server.environments.spares import Spares
from studiolo.server.environments.stage import is_ready
from studiolo.testing.waiting import eventually


@pytest.fixture
def base(tmp_path: Path) -> Path:
    folder = tmp_path / "base-1"
    folder.mkdir()
    (folder / "pyvenv.cfg").write_text("home = /usr")
    return folder


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Event:
    """Until it is set, no spare is whole."""
    opened = Event()

    def slow(source: Path, target: Path) -> None:
        opened.wait()
        clone(source, target)

    monkeypatch.setattr(sparing, "clone", slow)
    return opened


async def test_a_spare_that_is_half_made_is_waited_for(base: Path, gate: Event) -> None:
    spares, target = Spares(), base.with_name("w-1")
    spares.prepare(base)
    taking = asyncio.create_task(spares.take(base, target))
    await asyncio.sleep(0)
    assert not taking.done()
    gate.set()
    assert await taking
    assert (target / "pyvenv.cfg").is_file()


async def test_one_spare_is_for_one(base: Path, gate: Event) -> None:
    spares = Spares()
    for _ in range(2):
        spares.prepare(base)
    gate.set()
    await spares.settle()
    taking = [spares.take(base, base.with_name(f"w-{number}")) for number in range(3)]
    assert sorted(await asyncio.gather(*taking)) == [False, True, True]


async def test_there_are_as_many_again_after_some_were_taken(base: Path) -> None:
    spares = Spares()
    for number in range(3):
        spares.prepare(base)
        await spares.settle()
        assert all(is_ready(spare) for spare in spares_of(base))
        assert await spares.take(base, base.with_name(f"w-{number}"))
    await spares.close()


async def test_a_disk_that_takes_no_spare_is_not_asked_for_ever(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def fail(source: Path, target: Path) -> None:
        asked.append(target)
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(sparing, "clone", fail)
    spares = Spares()
    spares.prepare(base)
    await spares.settle()
    assert len(asked) == 1
    assert not await spares.take(base, base.with_name("w-1"))


def test_spares_of_earlier_bases_are_known(base: Path) -> None:
    stray = base.with_name("spare-1-base-0")
    for folder in (stray, *spares_of(base)):
        folder.mkdir()
    assert list_stray_spares(base) == [stray]


async def test_who_stops_waiting_leaves_the_spare_to_others(base: Path, gate: Event) -> None:
    spares = Spares()
    spares.prepare(base)
    taking = asyncio.create_task(spares.take(base, base.with_name("w-1")))
    await asyncio.sleep(0)
    taking.cancel()
    await asyncio.gather(taking, return_exceptions=True)
    gate.set()
    assert await spares.take(base, base.with_name("w-2"))


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a build left, in a place where things are removed as soon as they lie aside."""
    monkeypatch.setattr(leaving, "_QUIET_SECONDS", 0.0)
    folder = tmp_path / "environments" / "w-1.next"
    (folder / "lib").mkdir(parents=True)
    (folder / "lib/module.py").touch()
    (folder / "lib/out").symlink_to(tmp_path)
    return folder


async def test_what_a_build_leaves_is_out_of_the_way_at_once_and_removed_after_what_comes_first(old: Path) -> None:
    first = asyncio.Event()

    async def wait() -> None:
        await first.wait()

    leftovers = Leftovers(old.parent, wait)
    await leftovers.put_aside(old)
    assert not old.exists()
    (aside,) = old.parent.iterdir()
    assert (aside / "lib/module.py").exists()
    first.set()
    await eventually(lambda: not list(old.parent.iterdir()))
    assert old.parents[1].is_dir()
    await leftovers.close()


async def test_what_a_killed_platform_left_is_removed_by_the_next_one(old: Path) -> None:
    before = Leftovers(old.parent, asyncio.Event().wait)
    await before.put_aside(old)
    await before.close()
    assert list(old.parent.iterdir())
    after = Leftovers(old.parent, Spares().settle)
    after.sweep_soon()
    await eventually(lambda: not list(old.parent.iterdir()))
    await after.close()


async def test_no_more_than_some_lie_aside(old: Path) -> None:
    leftovers = Leftovers(old.parent, asyncio.Event().wait)
    for _ in range(7):
        old.mkdir(exist_ok=True)
        await leftovers.put_aside(old)
    assert len(list(old.parent.iterdir())) == 4
    await leftovers.close()


async def test_nothing_there_is_nothing_to_put_aside(old: Path) -> None:
    leftovers = Leftovers(old.parent, Spares().settle)
    await leftovers.put_aside(old.with_name("w-2.next"))
    assert list(old.parent.iterdir()) == [old]
    await leftovers.close()
