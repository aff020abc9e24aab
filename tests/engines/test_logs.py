"""Following a log file: from its last lines on, across trimming, to the end of the launch."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from studiolo.engines.logs import follow

pytestmark = pytest.mark.timeout(20)


class Writer:
    """Writes a log as a session does, and trims it as its shim does."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.is_running = True
        path.touch()

    def write(self, text: str) -> None:
        with self.path.open("a") as file:
            file.write(text)

    def trim(self) -> None:
        content = self.path.read_bytes()
        kept = content[len(content) // 2 :]
        with self.path.open("r+b") as file:
            file.truncate()
            file.write(b"[earlier lines were dropped]\n" + kept[kept.find(b"\n") + 1 :])

    def follow(self, lines: int) -> AsyncIterator[str]:
        return follow(self.path, lines=lines, is_running=lambda: self.is_running)


@pytest.fixture
def log(tmp_path: Path) -> Writer:
    return Writer(tmp_path / "server.log")


@pytest.mark.parametrize(("lines", "expected"), [(0, []), (2, ["three", "four"]), (9, ["one", "two", "three", "four"])])
async def test_it_begins_with_the_last_lines(log: Writer, lines: int, expected: list[str]) -> None:
    log.write("one\ntwo\nthree\nfour\n")
    log.is_running = False
    assert [line async for line in log.follow(lines)] == expected


async def test_an_unfinished_line_is_told_when_the_launch_ends(log: Writer) -> None:
    log.write("one\ntwo")
    followed = log.follow(1)
    log.is_running = False
    assert [line async for line in followed] == ["two"]


async def test_each_line_comes_once_across_trimming(log: Writer) -> None:
    log.write("".join(f"old {i}\n" for i in range(20_000)))
    followed = log.follow(1)
    seen = [await anext(followed)]
    for i in range(6):
        log.write(f"new {i}\n")
        seen.append(await anext(followed))
        if i % 2:
            log.trim()
    log.is_running = False
    seen += [line async for line in followed]
    assert seen == ["old 19999", *(f"new {i}" for i in range(6))]


async def test_what_was_dropped_before_it_was_read_is_marked(log: Writer) -> None:
    log.write("first\n")
    followed = log.follow(1)
    assert await anext(followed) == "first"
    log.write("".join(f"line {i}\n" for i in range(30_000)))
    log.trim()
    log.is_running = False
    rest = [line async for line in followed]
    assert rest[0] == "[earlier lines were dropped]"
    assert rest[-1] == "line 29999"


async def test_a_line_without_end_is_told_in_pieces(log: Writer) -> None:
    log.write("x" * 300_000)
    log.is_running = False
    pieces = [piece async for piece in log.follow(1)]
    assert sum(map(len, pieces)) == 300_000
    assert max(map(len, pieces)) <= 2 * 65_536


async def test_a_log_that_is_not_there_yet_is_waited_for(log: Writer) -> None:
    log.path.unlink()
    followed = log.follow(5)
    first = asyncio.ensure_future(anext(followed))
    await asyncio.sleep(0)
    log.write("hello\n")
    assert await first == "hello"
