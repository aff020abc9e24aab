import resource
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from studiolo.gateway.journals.journal import Journal
from studiolo.gateway.journals.records import Entry
from studiolo.gateway.journals.stock import Stock
from studiolo.testing.waiting import eventually

FILE_BYTES = 20_000


@asynccontextmanager
async def opened(folder: Path, *, calm_seconds: float = 0.01) -> AsyncIterator[Stock]:
    stock = Stock(folder / "prepared", files=3, file_bytes=FILE_BYTES, calm_seconds=calm_seconds)
    try:
        yield stock
    finally:
        stock.close()


def read(journal: Journal) -> list[Entry]:
    found: list[Entry] = []
    while some := journal.read(found[-1].number if found else 0):
        found += [item for item in some if isinstance(item, Entry)]
    return found


def fill(journal: Journal, count: int, size: int = 1_000) -> None:
    for _ in range(count):
        parts = [b"{}", b"{}", b"{}", str(journal.last + 1).encode().ljust(size)]
        journal.append("iopub", parts, parent="p", kernel_number=journal.last + 1)
        journal.flush()


async def test_it_is_filled_up_once_it_is_calm_and_again_after_files_were_taken(tmp_path: Path) -> None:
    async with opened(tmp_path) as stock:
        assert not stock.take(tmp_path / "early")
        await eventually(lambda: len(stock) == 3)
        assert stock.take(tmp_path / "taken")
        assert (tmp_path / "taken").read_bytes() == bytes(FILE_BYTES)
        await eventually(lambda: len(stock) == 3)
    assert not (tmp_path / "early").exists()


async def test_the_next_host_takes_over_what_is_whole(tmp_path: Path) -> None:
    async with opened(tmp_path) as stock:
        stock.prepare()
        await eventually(lambda: len(stock) == 3)
        (tmp_path / "prepared" / "torn").write_bytes(bytes(7))
    async with opened(tmp_path, calm_seconds=600) as stock:
        assert len(stock) == 3
        assert len(list((tmp_path / "prepared").iterdir())) == 3


async def test_where_no_room_is_nothing_is_prepared_and_nothing_lies_about(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES - 1, hard))
    try:
        async with opened(tmp_path) as stock:
            assert not stock.take(tmp_path / "taken")
            stock.prepare()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list((tmp_path / "prepared").iterdir()) == []


async def test_who_says_little_takes_nothing_and_who_says_much_has_all_of_it_again(tmp_path: Path) -> None:
    async with opened(tmp_path) as stock:
        stock.prepare()
        await eventually(lambda: len(stock) == 3)
    async with opened(tmp_path, calm_seconds=600) as stock:
        journal = Journal.open(tmp_path / "journal", memory_bytes=0, segment_bytes=FILE_BYTES, stock=stock)
        fill(journal, 2)
        assert len(stock) == 3
        fill(journal, 98)
        assert len(stock) == 0
        files = sorted((tmp_path / "journal").glob("*.journal"))
        assert len(files) > 1 + 3
        assert [entry.number for entry in read(journal)] == list(range(1, 101))
        journal.close()
        # What was prepared and not needed is given back.
        assert sum(file.stat().st_size for file in files) < 110_000
    again = Journal.open(tmp_path / "journal")
    assert [int(entry.parts[3]) for entry in read(again)] == list(range(1, 101))
    again.close()


WRITER = """
import asyncio, sys
from pathlib import Path
from studiolo.gateway.journals.journal import Journal
from studiolo.gateway.journals.stock import Stock

async def main():
    folder = Path(sys.argv[1])
    stock = Stock(folder / "prepared", files=20, file_bytes=2_000_000, calm_seconds=0)
    journal = Journal.open(folder / "journal", segment_bytes=2_000_000, stock=stock)
    while len(stock) < 20:
        await asyncio.sleep(0.01)
    for n in range(1, 100_000):
        text = str(n).encode()
        journal.append("iopub", [b"{}", b"{}", b"{}", text * (n * 7_919 % 300_000)], parent="p", kernel_number=n)
        journal.flush()
        print(n, flush=True)

asyncio.run(main())
"""


@pytest.mark.parametrize("lines", [20, 21, 22, 23, 24, 60])
def test_what_was_flushed_into_prepared_files_survives_kill_9_whole(tmp_path: Path, lines: int) -> None:
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    for _ in range(lines):
        writer.stdout.readline()
    writer.send_signal(signal.SIGKILL)
    told = writer.stdout.read().split()
    writer.wait()
    writer.stdout.close()

    journal = Journal.open(tmp_path / "journal")
    assert journal.last >= (int(told[-1]) if told else lines)
    found = read(journal)
    assert [entry.number for entry in found] == list(range(1, journal.last + 1))
    assert all(entry.parts[3] == str(entry.number).encode() * (entry.number * 7_919 % 300_000) for entry in found)
    journal.close()


def test_a_record_that_was_written_in_part_before_zeros_is_cut(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path)
    fill(journal, 2, size=100)
    (file,) = tmp_path.glob("*.journal")
    size_of_two = file.stat().st_size
    fill(journal, 1, size=100)
    whole = file.read_bytes()
    journal.close()
    # Its first bytes are written last.
    for size in range(size_of_two + 4, len(whole), 7):
        file.write_bytes(whole[:size_of_two] + bytes(4) + whole[size_of_two + 4 : size] + bytes(5_000))
        journal = Journal.open(tmp_path)
        assert [entry.number for entry in read(journal)] == [1, 2]
        fill(journal, 1)
        assert [entry.number for entry in read(journal)] == [1, 2, 3]
        journal.close()
