import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.manager import start_new_kernel

from studiolo.gateway.filling.cells import Cells, collect
from studiolo.gateway.filling.outputs import append_text
from studiolo.gateway.journals.journal import Journal
from studiolo.gateway.journals.records import digest_code
from studiolo.gateway.messages.wire import Signer, build, dump, parent_id


class Published:
    """A journal, and what a kernel would publish."""

    def __init__(self, folder: Path) -> None:
        self.journal = Journal.open(folder)

    def request(self, cell: str | None, code: str = "1", msg_id: str | None = None) -> str:
        msg_id = msg_id or f"r{len(self.journal.requests())}-{self.journal.last}"
        self.journal.note_request(msg_id, "execute_request", "s", cell, code=code)
        return msg_id

    def send(self, parent: str, msg_type: str, content: dict[str, Any]) -> None:
        header = dump({"msg_id": parent, "msg_type": "execute_request"}) if parent else b"{}"
        self.journal.append("iopub", build(msg_type, content, session="k", parent_header=header), parent=parent)

    def text(self, parent: str, text: str, name: str = "stdout") -> None:
        self.send(parent, "stream", {"name": name, "text": text})

    def display(self, parent: str, text: str, name: str | None = None, msg_type: str = "display_data") -> None:
        transient = {"display_id": name} if name else {}
        self.send(parent, msg_type, {"data": {"text/plain": text}, "metadata": {}, "transient": transient})

    def idle(self, parent: str) -> None:
        self.send(parent, "status", {"execution_state": "idle"})

    def outputs(self, cell: str = "c") -> list[dict[str, Any]]:
        return collect(self.journal).since()[cell].outputs

    def shown(self, cell: str = "c") -> list[str]:
        return [output.get("text") or output["data"]["text/plain"] for output in self.outputs(cell)]


@pytest.fixture
def kernel(tmp_path: Path) -> Iterator[Published]:
    published = Published(tmp_path / "journal")
    yield published
    published.journal.close()


@pytest.fixture(scope="module")
def ipykernel() -> Iterator[BlockingKernelClient]:
    manager, client = start_new_kernel(kernel_name="python3")
    yield client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


ALL_KINDS = """
import sys
from IPython.display import HTML, display, clear_output
print("gone"); clear_output()
print("one"); print("two", flush=True); print("oops", file=sys.stderr, flush=True); print("three", end="", flush=True)
handle = display(HTML("<b>1</b>"), display_id=True)
handle.update(HTML("<b>2</b>"))
display({"application/json": {"a": [1, {"b": None}]}}, raw=True)
"""


@pytest.mark.req("S4-55", "S4-56", "S4-57", "S4-58", "S4-59", "S4-61")
def test_a_real_kernels_output_becomes_what_a_notebook_would_have(kernel: Published, ipykernel: BlockingKernelClient):
    for cell, code in (("a", ALL_KINDS), ("b", "6*7"), ("c", "1/0")):
        message = ipykernel.session.msg("execute_request", {"code": code, "silent": False})
        kernel.request(cell, code, message["msg_id"])
        ipykernel.shell_channel.send(message)
        idle = False
        while not idle:
            frames = ipykernel.iopub_channel.socket.recv_multipart()
            _, parts = Signer(ipykernel.session.key).unpack(frames)
            kernel.journal.append("iopub", parts, parent=parent_id(parts))
            idle = b'"idle"' in parts[3] and parent_id(parts) == message["msg_id"]
    runs = collect(kernel.journal).since()
    notebook = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_code_cell(id=cell, execution_count=run.execution_count, outputs=run.outputs)
            for cell, run in runs.items()
        ]
    )
    nbformat.validate(nbformat.from_dict(notebook))
    kinds = [(output["output_type"], output.get("text")) for output in runs["a"].outputs]
    assert kinds == [
        ("stream", "one\ntwo\n"),
        ("stream", "oops\n"),
        ("stream", "three"),
        ("display_data", None),
        ("display_data", None),
    ]
    assert runs["a"].outputs[3]["data"]["text/html"] == "<b>2</b>"
    assert runs["a"].outputs[4]["data"] == {"application/json": {"a": [1, {"b": None}]}}
    assert runs["b"].outputs[0]["data"] == {"text/plain": "42"}
    assert runs["b"].execution_count == runs["b"].outputs[0]["execution_count"]
    assert runs["c"].outputs[0]["ename"] == "ZeroDivisionError"
    assert not any(run.is_running or run.gap for run in runs.values())
    assert runs["b"].code == digest_code("6*7")


def test_only_the_last_run_of_a_cell_counts(kernel: Published):
    first = kernel.request("c")
    kernel.text(first, "old")
    second = kernel.request("c")
    kernel.text(second, "new")
    kernel.text(first, "late")
    other = kernel.request(None)
    kernel.text(other, "of a console")
    assert kernel.shown() == ["new"]
    assert set(collect(kernel.journal).since()) == {"c"}


def test_a_run_goes_on_until_it_is_idle_or_its_reply_was_noted(kernel: Published):
    one, two = kernel.request("one"), kernel.request("two")
    queued = collect(kernel.journal).since()
    assert queued["one"].is_running
    assert queued["one"].outputs == []
    kernel.idle(one)
    kernel.text(two, "half")
    kernel.journal.note_reply(two)
    runs = collect(kernel.journal).since()
    assert (runs["one"].is_running, runs["two"].is_running) == (False, False)


def test_clearing_with_wait_clears_with_what_comes_next(kernel: Published):
    request = kernel.request("c")
    kernel.text(request, "old")
    kernel.send(request, "clear_output", {"wait": True})
    assert kernel.shown() == ["old"]
    kernel.text(request, "new")
    assert kernel.shown() == ["new"]
    kernel.send(request, "clear_output", {"wait": False})
    assert kernel.shown() == []


def test_a_display_is_updated_in_every_cell_that_shows_it(kernel: Published):
    for cell in ("a", "b"):
        request = kernel.request(cell)
        kernel.display(request, "1", name="d")
        kernel.display(request, "other", name="e")
    kernel.display("", "2", name="d", msg_type="update_display_data")
    kernel.display("", "3", name="unknown", msg_type="update_display_data")
    assert kernel.shown("a") == kernel.shown("b") == ["2", "other"]


def test_reading_on_step_by_step_gives_the_same_and_tells_what_changed(kernel: Published):
    cells = Cells(kernel.journal)
    before = 0
    for cell in ("a", "b", "a"):
        request = kernel.request(cell)
        for number in range(200):
            kernel.text(request, f"{number}\n")
        kernel.idle(request)
        steps = 1
        while cells.advance(most_bytes=5_000):
            steps += 1
        assert steps > 5
        assert set(cells.since(before)) == {cell}
        before = cells.last
    assert cells.since() == collect(kernel.journal).since()
    assert cells.since()["a"].outputs[0]["text"] == "".join(f"{number}\n" for number in range(200))


def test_beyond_its_limit_a_cell_says_how_much_is_cut_and_still_how_it_ended(kernel: Published):
    request = kernel.request("c")
    for _ in range(100):
        kernel.text(request, "x" * 100)
    kernel.send(request, "error", {"ename": "Stop", "evalue": "", "traceback": []})
    size = len(dump({"name": "stdout", "text": "x" * 100}))
    cells = Cells(kernel.journal, cell_bytes=1_000)
    cells.advance()
    run = cells.since()["c"]
    assert [output["output_type"] for output in run.outputs] == ["stream", "display_data", "error"]
    kept = len(run.outputs[0]["text"]) // 100
    gap = run.outputs[1]["metadata"]["studiolo"]["gap"]
    assert gap == {"from": kept + 1, "to": 100, "messages": 100 - kept, "bytes": (100 - kept) * size, "kept": True}
    assert f"{100 - kept} messages" in run.outputs[1]["data"]["text/plain"]
    assert run.gap


def test_all_cells_together_have_a_limit_that_clearing_gives_back(kernel: Published):
    cells = Cells(kernel.journal, cell_bytes=5_000, total_bytes=10_000)
    for cell in "abcd":
        request = kernel.request(cell)
        kernel.text(request, "x" * 4_000)
    cells.advance()
    assert [run.gap for run in cells.since().values()] == [False, False, True, True]
    again = kernel.request("a")
    kernel.send(again, "clear_output", {"wait": False})
    kernel.text(request, "y" * 3_000)
    cells.advance()
    assert "y" * 3_000 in [output.get("text") for output in cells.since()["d"].outputs]


def test_a_gap_in_the_journal_is_shown_with_its_size_where_it_may_matter(kernel: Published):
    done = kernel.request("done")
    kernel.text(done, "all")
    kernel.idle(done)
    kernel.journal.note_reply(done)
    running = kernel.request("running")
    kernel.text(running, "before")
    kernel.journal.note_gap(12, 3 * 1024 * 1024)
    kernel.text(running, "after")
    later = kernel.request("later")
    kernel.text(later, "later")
    assert kernel.shown("done") == ["all"]
    assert kernel.shown("running") == ["before", "[Output of 12 messages (3.0 MiB) was lost.]", "after"]
    assert kernel.shown("later") == ["later"]
    kernel.journal.note_gap()
    assert kernel.shown("later") == ["later", "[Output of unknown size was lost.]"]


@pytest.mark.parametrize(
    ("msg_type", "content"),
    [
        ("stream", {}),
        ("stream", {"text": 4}),
        ("display_data", {"data": [], "metadata": "x", "transient": "x"}),
        ("display_data", {"data": {"text/plain": 4, "x": {"y": 1}}}),
        ("execute_result", {"execution_count": "many"}),
        ("error", {"traceback": "none", "ename": 4}),
        ("error", {"traceback": [1, None]}),
        ("update_display_data", {"transient": {"display_id": []}}),
        ("status", {"execution_state": 4}),
        ("clear_output", {"wait": "yes"}),
        ("execute_input", {"execution_count": "x"}),
    ],
)
def test_odd_messages_make_no_output_that_nbformat_refuses(kernel: Published, msg_type: str, content: dict[str, Any]):
    request = kernel.request("c")
    kernel.send(request, msg_type, content)
    cell = nbformat.v4.new_code_cell(id="c", outputs=kernel.outputs())
    nbformat.validate(nbformat.from_dict(nbformat.v4.new_notebook(cells=[cell])))


def test_messages_that_are_none_are_left_out(kernel: Published):
    request = kernel.request("c")
    for header, content in ((b"", b"{}"), (b"{}", b"{}"), (dump({"msg_id": "1", "msg_type": "stream"}), b"[")):
        kernel.journal.append("iopub", [header, b"{}", b"{}", content], parent=request)
    half = b'{"name": "stdout", "text": "\\ud83d"}'
    kernel.journal.append("iopub", [dump({"msg_id": "1", "msg_type": "stream"}), b"{}", b"{}", half], parent=request)
    assert kernel.shown() == ["\ud83d"]


def test_numbers_that_json_does_not_have_reach_no_notebook(kernel: Published):
    request = kernel.request("c")
    for number in (b"NaN", b"1e999"):
        header = dump({"msg_id": "1", "msg_type": "display_data"})
        content = b'{"data": {"text/plain": "x", "application/json": [%b]}, "metadata": {"a": %b}}' % (number, number)
        kernel.journal.append("iopub", [header, b"{}", b"{}", content], parent=request)
    null, left_out = kernel.outputs()
    assert (null["data"]["application/json"], null["metadata"]) == ([None], {"a": None})
    assert (left_out["data"], left_out["metadata"]) == ({"text/plain": "x"}, {})


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["a\n", "b"], "a\nb"),
        (["10%\r", "20%\r", "100%\n"], "100%\n"),
        (["long\rab"], "abng"),
        (["x\r\ny\r\n"], "x\r\ny\r\n"),
        (["x\r", "\ny"], "x\r\ny"),
        (["head\n", "1\r2", "\r3", "\nend"], "head\n3\nend"),
        (["\r1", "\r2"], "2"),
    ],
)
def test_a_carriage_return_goes_back_to_the_lines_beginning(texts: list[str], expected: str):
    pieces: list[str] = []
    size = sum(append_text(pieces, text) for text in texts)
    assert "".join(pieces) == expected
    assert size == len(expected)


def test_a_long_night_of_progress_bars_is_one_line_and_many_prints_take_little_memory():
    pieces: list[str] = []
    for number in range(50_000):
        append_text(pieces, f"\r{number:7}/50000")
    assert "".join(pieces) == "  49999/50000"
    tracemalloc.start()
    for number in range(50_000):
        append_text(pieces, f"{number}\n")
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size < 4 * len("".join(pieces))


def test_who_joins_in_mid_run_learns_what_the_next_messages_will_mean(kernel: Published) -> None:
    asked = kernel.request("c")
    kernel.text(asked, "one")
    kernel.display(asked, "bar", name="d")
    kernel.display(asked, "bar", name="d")
    run = collect(kernel.journal).since()["c"]
    assert run.displays == {"d": [1, 2]}
    assert not run.clears_next
    kernel.send(asked, "clear_output", {"wait": True})
    run = collect(kernel.journal).since()["c"]
    assert run.clears_next
    assert run.changed_at >= run.at
    kernel.text(asked, "two")
    run = collect(kernel.journal).since()["c"]
    assert (run.displays, run.clears_next) == ({}, False)


def test_no_text_takes_long_to_fold():
    pieces: list[str] = []
    append_text(pieces, "x" * 1_000_000 + "\ry" * 1_000_000)
    append_text(pieces, "\r" + "\r".join("z" * size for size in range(1_000)))
    assert "".join(pieces) == "z" * 999 + "x" * 999_001


def test_a_reader_stops_after_some_milliseconds(kernel: Published):
    request = kernel.request("c")
    for _ in range(1_000):
        kernel.text(request, "x")
    cells = Cells(kernel.journal)
    assert cells.advance(most_seconds=0)
    assert cells.last == 1
