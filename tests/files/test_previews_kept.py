"""Previews by workers: what is kept, what a hostile file costs, and what ends."""

import asyncio
import os
import resource
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from studiolo.files.previews.store import Previews
from studiolo.files.workers import limits
from studiolo.files.workers.pool import WorkerPool, WorkFailed
from studiolo.testing.waiting import is_gone


@pytest.fixture
async def pool() -> AsyncIterator[WorkerPool]:
    made = WorkerPool()
    yield made
    await made.close()


async def shown(previews: Previews, file: Path) -> Path:
    with file.open("rb") as opened:
        return await previews.preview(opened.fileno(), file.name)


async def test_equal_content_is_rendered_once_and_changed_content_anew(tmp_path: Path, pool: WorkerPool) -> None:
    previews = Previews(tmp_path / "kept", pool)
    file, twin = tmp_path / "a.py", tmp_path / "other" / "a.py"
    twin.parent.mkdir()
    file.write_text("x = 1")
    twin.write_text("x = 1")
    first = await asyncio.gather(shown(previews, file), shown(previews, file), shown(previews, twin))
    assert len(set(first)) == 1
    assert len(list((tmp_path / "kept").iterdir())) == 1
    file.write_text("y = 2")
    assert ">y<" in (await shown(previews, file)).read_text()


async def test_what_was_not_used_longest_makes_room(tmp_path: Path, pool: WorkerPool) -> None:
    previews = Previews(tmp_path / "kept", pool, most_bytes=20_000)
    for number in range(6):
        (tmp_path / f"{number}.txt").write_text(f"{number}" * 500)
        os.utime(await shown(previews, tmp_path / f"{number}.txt"), (number, number))
    kept = [file.read_text() for file in (tmp_path / "kept").iterdir()]
    assert 0 < len(kept) < 4
    assert any("5" * 500 in page for page in kept)


async def test_a_file_that_takes_too_much_is_refused_and_the_next_is_shown(tmp_path: Path, pool: WorkerPool) -> None:
    previews = Previews(tmp_path / "kept", pool)
    # Well below the limit on size, and many times larger once it is read.
    (tmp_path / "deep.ipynb").write_bytes(b'{"nbformat": 4, "cells": [' + b"[]," * (12 * 2**20) + b"[]]}")
    (tmp_path / "a.txt").write_text("still here")
    refused = (await shown(previews, tmp_path / "deep.ipynb")).read_text()
    assert "There is no preview of this file." in refused or "no notebook that can be read" in refused
    assert "still here" in (await shown(previews, tmp_path / "a.txt")).read_text()


async def test_previews_go_on_when_all_that_was_kept_is_released(tmp_path: Path, pool: WorkerPool) -> None:
    previews, file = Previews(tmp_path / "kept", pool), tmp_path / "a.py"
    file.write_text("x = 1")
    await shown(previews, file)
    shutil.rmtree(tmp_path / "kept")
    assert ">x<" in (await shown(previews, file)).read_text()


async def test_the_process_ends_when_nobody_asked_for_a_while(tmp_path: Path) -> None:
    pool = WorkerPool(idle_seconds=0.01)
    await pool.prepare()
    process = psutil.Process(pool.pid)
    async with asyncio.timeout(60):
        while not is_gone(process):
            await asyncio.sleep(0.02)
    assert pool.pid is None
    await pool.close()


async def test_work_after_the_process_was_killed_is_done_by_a_new_one(tmp_path: Path, pool: WorkerPool) -> None:
    previews = Previews(tmp_path / "kept", pool)
    (tmp_path / "a.txt").write_text("one")
    await shown(previews, tmp_path / "a.txt")
    killed = psutil.Process(pool.pid)
    killed.kill()
    async with asyncio.timeout(60):
        while killed.is_running():
            await asyncio.sleep(0.02)
    (tmp_path / "b.txt").write_text("two")
    assert "two" in (await shown(previews, tmp_path / "b.txt")).read_text()


async def test_a_worker_without_an_answer_counts_as_ended(pool: WorkerPool) -> None:
    # No descriptor to read from: the work fails inside the worker, not in the host.
    with pytest.raises(WorkFailed):
        await pool.do("preview", name="a.txt")


def test_limits_are_kept_by_the_kernel() -> None:
    pid = os.fork()
    if pid == 0:
        limits.Limits(seconds=0.05, cpu_seconds=1, memory=2**32, written=2**20).take_effect()
        assert resource.getrlimit(resource.RLIMIT_CPU) == (1, 1)
        while True:
            pass
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -14
