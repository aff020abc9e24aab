"""What a kernel keeps until it is acknowledged, without a kernel."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from studiolo.runtime.spool import Backlog, SpoolServer, decode, encode, listen, read_left

MESSAGE = [b"stream", b"<IDS|MSG>", b"signature", b"{}", b"{}", b"{}", b'{"text": "x"}']


def _given(backlog: Backlog, after: int) -> tuple[list[int], dict[str, Any]]:
    """Return the numbers of what is given, and what else is told."""
    told: dict[str, Any] = {}
    numbers = []
    for number, parts in decode(b"".join(backlog.records(after))):
        numbers += [number] if number else []
        told |= json.loads(parts[0]) if not number else {}
    return numbers, told


def test_the_number_stands_between_topic_and_delimiter(tmp_path: Path) -> None:
    backlog = Backlog(tmp_path)
    backlog.add(MESSAGE)
    assert backlog.add(MESSAGE)[:3] == [b"stream", b"studiolo:2", b"<IDS|MSG>"]
    assert backlog.add(MESSAGE[1:])[:2] == [b"studiolo:3", b"<IDS|MSG>"]


def test_what_is_acknowledged_is_not_given_again(tmp_path: Path) -> None:
    backlog = Backlog(tmp_path)
    for _ in range(5):
        backlog.add(MESSAGE)
    assert _given(backlog, 0) == ([1, 2, 3, 4, 5], {"last": 5})
    backlog.acknowledge(2)
    assert _given(backlog, 0) == ([3, 4, 5], {"last": 5})
    assert _given(backlog, 4) == ([5], {"last": 5})
    assert _given(backlog, 9) == ([], {"last": 5})


def test_a_buffer_that_changes_later_is_kept_as_it_was(tmp_path: Path) -> None:
    backlog, buffer = Backlog(tmp_path), bytearray(b"before")
    backlog.add([*MESSAGE, memoryview(buffer)])
    buffer[:] = b"after!"
    (_, frames), _ = decode(b"".join(backlog.records(0)))
    assert frames[-1] == b"before"


def test_what_finds_no_room_in_memory_is_given_from_files_in_order(tmp_path: Path) -> None:
    backlog = Backlog(tmp_path / "spool", memory_bytes=10_000, file_bytes=20_000, files=100)
    for _ in range(500):
        backlog.add(MESSAGE)
    assert _given(backlog, 0) == (list(range(1, 501)), {"last": 500})
    assert _given(backlog, 123)[0] == list(range(124, 501))
    backlog.acknowledge(499)
    assert _given(backlog, 0)[0][-1] == 500
    assert len(list((tmp_path / "spool").iterdir())) <= 1


def test_beyond_all_room_the_oldest_are_dropped_and_counted(tmp_path: Path) -> None:
    backlog = Backlog(tmp_path / "spool", memory_bytes=10_000, file_bytes=1_000, files=2)
    for _ in range(500):
        backlog.add(MESSAGE)
    numbers, told = _given(backlog, 0)
    dropped = told["dropped"]
    assert numbers == list(range(dropped["to"] + 1, 501))
    assert (dropped["from"], dropped["messages"]) == (1, dropped["to"])
    assert _given(backlog, 7)[1]["dropped"]["messages"] == dropped["to"] - 7
    assert "dropped" not in _given(backlog, dropped["to"])[1]


def test_without_a_place_for_files_the_oldest_are_dropped(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    backlog = Backlog(tmp_path / "file" / "spool", memory_bytes=10_000)
    for _ in range(100):
        backlog.add(MESSAGE)
    numbers, told = _given(backlog, 0)
    assert told["dropped"]["messages"] + len(numbers) == 100


def test_what_an_ended_kernel_left_can_be_read(tmp_path: Path) -> None:
    backlog = Backlog(tmp_path / "spool", memory_bytes=10_000, file_bytes=2_000)
    for _ in range(100):
        backlog.add(MESSAGE)
    backlog.acknowledge(5)
    backlog.leave()
    left = list(read_left(tmp_path / "spool", 40))
    assert [number for number, _ in left] == list(range(41, 101))
    assert left[0][1] == [b"stream", b"studiolo:41", *MESSAGE[1:]]


@pytest.mark.parametrize("cut", range(1, 40, 7))
def test_a_cut_record_is_left_out(cut: int) -> None:
    content = encode(1, MESSAGE) + encode(2, MESSAGE)
    assert [number for number, _ in decode(content[:-cut])] == [1]


async def test_clients_ask_and_acknowledge_by_the_socket(run_dir: Path, tmp_path: Path) -> None:
    backlog = Backlog(tmp_path)
    for _ in range(3):
        backlog.add(MESSAGE)
    server = SpoolServer(backlog, listen(run_dir / "spool"))
    await server.start()
    assert (run_dir / "spool").stat().st_mode & 0o777 == 0o600
    bad, worse = (
        await asyncio.open_unix_connection(run_dir / "spool"),
        await asyncio.open_unix_connection(run_dir / "spool"),
    )
    worse[1].write(b"no JSON\n")
    assert await worse[0].read() == b""
    reader, writer = await asyncio.open_unix_connection(run_dir / "spool")
    writer.write(b'{"ack": 1}\n{"after": 0}\n')
    expected = b"".join(backlog.records(1))
    assert await reader.readexactly(len(expected)) == expected
    for one in (bad[1], worse[1], writer):
        one.close()
        await one.wait_closed()
    await server.close()
