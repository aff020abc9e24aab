import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from studiolo.gateway.journals.journal import Journal
from studiolo.gateway.journals.records import Entry, Gap, digest_code


def text(number: int, size: int = 10) -> list[bytes]:
    return [b"{}", b"{}", b"{}", f"{number}".encode().ljust(size)]


def fill(journal: Journal, count: int, size: int = 10) -> None:
    for _ in range(count):
        journal.append("iopub", text(journal.last + 1, size), parent="p", kernel_number=journal.last + 1)
    journal.flush()


def everything(journal: Journal, *, after: int = 0, most_bytes: int = 3_000) -> list[Entry | Gap]:
    found: list[Entry | Gap] = []
    while some := journal.read(found[-1].number if found else after, most_bytes=most_bytes):
        found += some
    return found


def numbers(items: list[Entry | Gap]) -> list[int]:
    """Numbers of entries; fails if one does not hold what was written under it."""
    entries = [item for item in items if isinstance(item, Entry)]
    assert all(entry.parts[3].strip() == str(entry.number).encode() for entry in entries)
    return [entry.number for entry in entries]


def test_messages_come_back_numbered_in_order_with_all_they_had(tmp_path: Path):
    journal = Journal.open(tmp_path / "journal")
    assert (journal.first, journal.last, journal.read(0)) == (1, 0, [])
    assert journal.append("iopub", [b"a", b"", b"{}", b"c", b"buffer"], parent="p") == 1
    assert journal.append("shell", text(2), parent="", kernel_number=9) == 2
    first, second = journal.read(0)
    assert first[:4] == (1, "iopub", [b"a", b"", b"{}", b"c", b"buffer"], "p")
    assert second[:4] == (2, "shell", text(2), "")
    journal.close()

    again = Journal.open(tmp_path / "journal")
    assert again.read(0) == [first, second]
    assert again.kernel_number == 9
    again.close()


def test_a_reader_may_begin_anywhere_and_take_any_amount(tmp_path: Path):
    journal = Journal.open(tmp_path / "journal", memory_bytes=2_000, segment_bytes=5_000)
    fill(journal, 300)
    for after in (0, 1, 50, 149, 298, 299, 300, 301):
        assert numbers(everything(journal, after=after, most_bytes=1 + after)) == list(range(after + 1, 301))
    assert len(journal.read(0, most_bytes=1)) == 1
    journal.close()


def test_reading_near_the_end_needs_no_disk(tmp_path: Path):
    journal = Journal.open(tmp_path / "journal")
    fill(journal, 100)
    for file in (tmp_path / "journal").iterdir():
        file.unlink()
    assert numbers(everything(journal)) == list(range(1, 101))
    journal.close()


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(["small", "big", "gap", "flush", "reopen", "tear", "request"]), max_size=60), st.data())
def test_whatever_happens_each_number_is_there_once(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str], data: st.DataObject
):
    folder = tmp_path_factory.mktemp("j")
    journal = Journal.open(folder, memory_bytes=500, segment_bytes=2_000)
    for step in steps:
        if step in ("reopen", "tear"):
            journal.close()
            files = sorted(folder.glob("*.journal"))
            if step == "tear" and files:
                os.truncate(files[-1], files[-1].stat().st_size * data.draw(st.integers(0, 100)) // 100)
            journal = Journal.open(folder, memory_bytes=500, segment_bytes=2_000)
        elif step == "gap":
            journal.note_gap()
        elif step == "flush":
            journal.flush()
        elif step == "request":
            journal.note_request("m", "execute_request", "s", "c")
        else:
            fill(journal, 1, size=3_000 if step == "big" else 10)
    after = journal.last * data.draw(st.integers(0, 100)) // 100
    items = everything(journal, after=after, most_bytes=data.draw(st.sampled_from([1, 700, 10_000])))
    assert [item.number for item in items] == list(range(after + 1, journal.last + 1))
    numbers(items)
    journal.close()


def test_a_torn_record_is_cut_and_nothing_before_it(tmp_path: Path):
    journal = Journal.open(tmp_path / "journal")
    fill(journal, 2)
    (file,) = (tmp_path / "journal").glob("*.journal")
    size_of_two = file.stat().st_size
    fill(journal, 1)
    whole = file.read_bytes()
    journal.close()
    for size in range(size_of_two, len(whole), 7):
        file.write_bytes(whole[:size])
        journal = Journal.open(tmp_path / "journal")
        assert numbers(everything(journal)) == [1, 2]
        fill(journal, 1)
        assert numbers(everything(journal)) == [1, 2, 3]
        journal.close()


@pytest.mark.parametrize("size", [0, 20, 60])
def test_a_segment_that_was_only_begun_costs_neither_messages_nor_requests(tmp_path: Path, size: int):
    journal = Journal.open(tmp_path, segment_bytes=1_000)
    journal.note_request("open", "execute_request", "s", "c")
    fill(journal, 10)
    files = len(list(tmp_path.glob("*.journal")))
    while len(list(tmp_path.glob("*.journal"))) == files:
        fill(journal, 1)
    last = max(tmp_path.glob("*.journal"))
    journal.close()
    last.write_bytes(last.read_bytes()[:size])
    for _ in range(2):
        again = Journal.open(tmp_path, segment_bytes=1_000)
        assert numbers(everything(again)) == list(range(1, int(last.stem)))
        assert set(again.open_requests()) == {"open"}
        again.close()
    again = Journal.open(tmp_path, memory_bytes=0, segment_bytes=1_000, disk_bytes=5_000)
    fill(again, 50)
    gap, *rest = everything(again)
    assert isinstance(gap, Gap)
    assert gap.messages == gap.last
    assert numbers(rest) == list(range(gap.last + 1, again.last + 1))
    again.close()


@pytest.mark.parametrize("damage", [b"\0" * 100, b"SJL1" + b"\xff" * 100, b"garbage" * 30])
def test_garbage_behind_the_last_record_is_cut(tmp_path: Path, damage: bytes):
    journal = Journal.open(tmp_path / "journal")
    fill(journal, 3)
    journal.close()
    (file,) = (tmp_path / "journal").glob("*.journal")
    file.write_bytes(file.read_bytes() + damage)
    journal = Journal.open(tmp_path / "journal")
    assert (journal.last, numbers(everything(journal))) == (3, [1, 2, 3])
    journal.close()


def test_a_damaged_or_missing_segment_is_a_gap_and_the_rest_is_read(tmp_path: Path):
    journal = Journal.open(tmp_path / "journal", memory_bytes=0, segment_bytes=1_000)
    fill(journal, 60)
    files = sorted((tmp_path / "journal").glob("*.journal"))
    files[1].write_bytes(b"x" * files[1].stat().st_size)
    files[3].unlink()
    begins = [int(file.stem) for file in files]
    items = everything(journal)
    assert [(item.first, item.last) for item in items if isinstance(item, Gap)] == [
        (begins[1], begins[2] - 1),
        (begins[3], begins[4] - 1),
    ]
    lost = {*range(begins[1], begins[2]), *range(begins[3], begins[4])}
    assert numbers(items) == [number for number in range(1, 61) if number not in lost]
    journal.close()
    again = Journal.open(tmp_path / "journal")
    assert numbers(everything(again))[-1] == 60
    again.close()


WRITER = """
import sys
from pathlib import Path
from studiolo.gateway.journals.journal import Journal
journal = Journal.open(Path(sys.argv[1]), segment_bytes=50_000)
while True:
    journal.note_request(f"m-{journal.last}", "execute_request", "s", "cell", code="1")
    for _ in range(7):
        n = journal.last + 1
        journal.append("iopub", [b"{}", b"{}", b"{}", str(n).encode().ljust(n % 5000)], parent="p", kernel_number=n)
    journal.flush()
    print(journal.last, flush=True)
"""


@pytest.mark.parametrize("lines", [3, 40, 200])
def test_what_was_flushed_survives_kill_9(tmp_path: Path, lines: int):
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    for _ in range(lines):
        writer.stdout.readline()
    writer.send_signal(signal.SIGKILL)
    told = [int(line) for line in writer.stdout.read().split("\n")[:-1]]
    writer.wait()
    writer.stdout.close()

    journal = Journal.open(tmp_path)
    last = told[-1] if told else 7 * lines
    assert journal.last >= last
    assert journal.kernel_number == journal.last
    assert numbers(everything(journal, most_bytes=1_000_000)) == list(range(1, journal.last + 1))
    request = max(journal.open_requests().values(), key=lambda one: one.number)
    assert request.number >= journal.last - 7
    assert (request.cell, request.code) == ("cell", digest_code("1"))
    journal.close()


def test_dropped_segments_leave_one_gap_of_known_size(tmp_path: Path):
    journal = Journal.open(tmp_path / "journal", memory_bytes=1_000, disk_bytes=20_000, segment_bytes=2_000)
    fill(journal, 500, size=94)
    assert sum(file.stat().st_size for file in (tmp_path / "journal").glob("*.journal")) < 25_000
    gap, *rest = everything(journal)
    assert gap == Gap(1, journal.first - 1, journal.first - 1, (journal.first - 1) * 100)
    assert numbers(rest) == list(range(journal.first, 501))
    assert everything(journal, after=10)[0] == Gap(11, gap.last, gap.last - 10, None)
    journal.close()

    again = Journal.open(tmp_path / "journal", disk_bytes=20_000, segment_bytes=2_000)
    assert everything(again)[0] == gap
    fill(again, 500, size=94)
    gap = everything(again)[0]
    assert gap == Gap(1, again.first - 1, again.first - 1, (again.first - 1) * 100)
    again.close()


def test_gaps_take_a_number_and_make_what_is_dropped_with_them_uncertain(tmp_path: Path):
    journal = Journal.open(tmp_path / "journal", memory_bytes=0, disk_bytes=6_000, segment_bytes=2_000)
    fill(journal, 2)
    assert (journal.note_gap(), journal.note_gap(3, 44)) == (3, 4)
    fill(journal, 2)
    assert everything(journal)[2:4] == [Gap(3, 3, None, None), Gap(4, 4, 3, 44)]
    fill(journal, 200)
    gap = everything(journal)[0]
    assert gap == Gap(1, journal.first - 1, None, None)
    journal.close()


@contextmanager
def no_room(folder: Path) -> Iterator[None]:
    """Let no file grow beyond what the largest in `folder` has now."""
    size = max((file.stat().st_size for file in folder.iterdir()), default=0)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_costs_only_what_memory_cannot_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("studiolo.gateway.journals.journal._RETRY_SECONDS", 0.0)
    journal = Journal.open(tmp_path / "journal", memory_bytes=2_000, segment_bytes=100_000)
    fill(journal, 5, size=94)
    with no_room(tmp_path / "journal"):
        fill(journal, 50, size=94)
        assert journal.failing
        held = numbers(everything(journal))
        lost = 55 - len(held)
        assert 5 < lost < 45
        (gap,) = [item for item in everything(journal) if isinstance(item, Gap)]
        assert gap == Gap(6, 5 + lost, lost, lost * 100)
        journal.note_request("m", "execute_request", "s", "c")
    fill(journal, 1, size=94)
    assert not journal.failing
    journal.close()

    again = Journal.open(tmp_path / "journal")
    (gap,) = [item for item in everything(again) if isinstance(item, Gap)]
    assert (gap.first, gap.messages, gap.data_bytes) == (6, gap.last - 5, (gap.last - 5) * 100)
    assert numbers(everything(again)) == [*range(1, 6), *range(gap.last + 1, 57)]
    assert set(again.open_requests()) == {"m"}
    assert again.kernel_number == 56
    again.close()


def test_a_journal_can_begin_on_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("studiolo.gateway.journals.journal._RETRY_SECONDS", 0.0)
    with no_room(tmp_path):
        journal = Journal.open(tmp_path)
        fill(journal, 3)
        assert journal.failing
    fill(journal, 1)
    journal.close()
    again = Journal.open(tmp_path)
    assert numbers(everything(again)) == [1, 2, 3, 4]
    again.close()


def test_requests_are_known_until_answered_also_after_their_segment_is_gone(tmp_path: Path):
    journal = Journal.open(tmp_path / "journal", memory_bytes=0, disk_bytes=6_000, segment_bytes=2_000)
    journal.note_request("long", "execute_request", "s-1", "cell-1", code="run()")
    journal.note_request("short", "complete_request", "s-2")
    journal.note_reply("short")
    journal.note_reply("never-asked")
    fill(journal, 300)
    journal.close()

    again = Journal.open(tmp_path / "journal")
    assert set(again.open_requests()) == {"long"}
    request = again.request("long")
    assert request is not None
    assert (request.cell, request.session, request.number, request.ended) == ("cell-1", "s-1", 0, None)
    again.note_reply("long")
    assert again.open_requests() == {}
    assert [one.ended for one in again.requests()] == [300]
    again.close()


def test_of_each_cell_the_last_request_is_kept_and_of_other_cells_names_none(tmp_path: Path):
    journal = Journal.open(tmp_path / "journal")
    for msg_id in ("one", "two", "three"):
        journal.note_request(msg_id, "execute_request", "s", "cell")
    journal.note_reply("one")
    journal.note_request("odd", "execute_request", "s", "x" * 65)
    assert [one.msg_id for one in journal.requests()] == ["two", "three", "odd"]
    assert journal.requests()[-1].cell is None
    for msg_id in ("two", "three", "odd"):
        journal.note_reply(msg_id)
    assert [one.msg_id for one in journal.requests()] == ["three"]
    journal.close()


def test_the_number_of_requests_is_bounded(tmp_path: Path):
    journal = Journal.open(tmp_path / "journal")
    for number in range(4_200):
        journal.note_request(str(number), "execute_request", "s", f"c{number}")
    assert len(journal.requests()) == 4_096
    journal.close()


def test_erasing_leaves_nothing(tmp_path: Path):
    journal = Journal.open(tmp_path / "journal", segment_bytes=100)
    fill(journal, 10)
    journal.erase()
    assert list(tmp_path.iterdir()) == []
