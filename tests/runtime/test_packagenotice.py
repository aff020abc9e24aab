"""What a notebook says below a tool's own words about a package that was refused."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import pytest

from studiolo.runtime.packagenotice import Refusals, describe, watch

FOLDER = "BLOCKED-requests--run--ml-jupyter-request-churn-requests"
FILE = "requests-2.32.5-py3-none-any.whl.metadata"
ADDRESS = f"http://127.0.0.1:1/pypi/denied/{FOLDER}/{FILE}"
PROBLEM = {
    "title": "Blocked",
    "rule": "blocked_packages: requests",
    "source": "the default policy",
    "because": "requests is blocked.",
    "workspace": "w-1",
}


def _stream(text: str, name: str = "stdout") -> dict[str, Any]:
    return {"content": {"name": name, "text": text}}


@pytest.mark.parametrize(
    "said",
    [
        f"ERROR: HTTP error 403 while getting {ADDRESS} (from ...)\n",
        f"  x Failed to fetch: `{ADDRESS}`\n",
        f"403 Client Error: Forbidden for url: {ADDRESS}",
    ],
)
def test_the_address_is_found_in_what_tools_say(said: str) -> None:
    refusals = Refusals()
    message = _stream(said)
    assert refusals.look(message) is message
    assert refusals.take() == {FOLDER: FILE}
    assert refusals.take() == {}


def test_an_address_that_two_messages_share_is_found_whole() -> None:
    refusals = Refusals()
    for at in range(len(ADDRESS)):
        refusals.look(_stream(ADDRESS[:at]))
        refusals.look(_stream(ADDRESS[at:] + "\n"))
        assert refusals.take() == {FOLDER: FILE}, at


def test_messages_that_are_no_streams_pass() -> None:
    refusals = Refusals()
    for message in ({}, {"content": None}, {"content": {"data": {"text/plain": ADDRESS}}}):
        assert refusals.look(message) is message
    assert refusals.take() == {}


def test_the_words_name_package_version_rule_reason_and_next_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUDIOLO_URL", "http://localhost:1")
    assert describe(FOLDER, FILE, PROBLEM, "churn") == (
        "Refused: requests 2.32.5 in workspace churn\n"
        "Rule:    blocked_packages: requests, the default policy\n"
        "Because: requests is blocked.\n"
        "Ask:     ml jupyter request churn requests   or   http://localhost:1/w/w-1/request?package=requests\n"
    )


def test_without_an_answer_the_address_still_tells_rule_and_next_step() -> None:
    words = describe("APPROVAL-REQUIRED-torch--run--ml-jupyter-request-churn-torch", "torch-2.9.tar.gz", {}, "")
    assert words is not None
    assert words.splitlines() == [
        "Refused: torch 2.9 in workspace churn",
        "Rule:    approval required",
        "Ask:     ml jupyter request churn torch",
    ]


@pytest.mark.parametrize("folder", ["x", "BLOCKED-a--run--ml-jupyter-request-w-b", "--run--ml-jupyter-request--"])
def test_what_is_no_tombstone_says_nothing(folder: str) -> None:
    assert describe(folder, FILE, {}, "churn") is None


@pytest.mark.parametrize(
    ("said", "unfound"),
    [
        ("ERROR: No matching distribution found for lib==3.0\n", {"lib": "3.0"}),
        ("ERROR: No matching distribution found for My_Lib>=3\n", {"my-lib": None}),
        ("error: No solution found when resolving dependencies\n  cause: Because there is no version of lib==3.0 and you "
         "require lib==3.0, we can conclude that your requirements are unsatisfiable.\n", {"lib": "3.0"}),
        ("  x No solution found when resolving dependencies:\n  Because there is no version of\n      \x1b[36mlib==3.0\x1b[39m "
         "and you require lib==3.0, we can", {"lib": "3.0"}),
        ("No solution found: Because only lib==2.0 is available and you require lib>=3, we can", {"lib": None}),
        ("No solution found: Because only the following versions of lib are available:\n  lib==1\n  lib==2\n", {"lib": None}),
        ("Because demo depends on lib (3.0) which doesn't match any versions, version solving failed.", {"lib": "3.0"}),
        ("Could not find a matching version of package lib\n", {"lib": None}),
        ("[CandidateNotFound]: Unable to find candidates for lib. There may exist", {"lib": None}),
        ("there is no version of lib==3.0 of which a poem tells", {}),
    ],
)  # fmt: skip
def test_what_tools_did_not_find_is_read_from_their_words_in_whatever_pieces(
    said: str, unfound: dict[str, str | None]
) -> None:
    refusals = Refusals()
    for pieces in ([said], [*said]):
        for piece in pieces:
            refusals.look(_stream(piece))
        assert refusals.take_unfound() == unfound
        assert refusals.take_unfound() == {}
        refusals.take()


class _Index:
    """An index that has these pages and refuses whatever else it is asked for; `asked`, paths with their headers."""

    def __init__(self, pages: dict[str, object], refusal: dict[str, str]) -> None:
        self.asked: list[tuple[str, Any]] = []
        asked = self.asked

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append((self.path, self.headers))
                self.send_response(200 if self.path in pages else 403)
                self.end_headers()
                self.wfile.write(json.dumps(pages.get(self.path, refusal)).encode())

            def log_message(self, *args: object) -> None: ...

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Kernel:
    """As much of a kernel as the notice meets; what it sends goes through its hooks at once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.hooks: list[Any] = []
        self.sent = ""
        self.tell: Any = None
        register = SimpleNamespace(register=lambda event, callback: setattr(self, "tell", callback))
        self.shell = SimpleNamespace(events=register)
        self.iopub_thread = SimpleNamespace(io_loop=SimpleNamespace(add_callback=lambda callback: callback()))
        stream = SimpleNamespace(write=self.send, flush=lambda: None, register_hook=self.hooks.append)
        monkeypatch.setattr("sys.stdout", stream)

    def send(self, text: str) -> None:
        for hook in self.hooks:
            hook(_stream(text))
        self.sent += text

    def ran(self, cell: str) -> None:
        self.tell(SimpleNamespace(info=SimpleNamespace(raw_cell=cell)))


def test_after_a_refused_install_the_kernel_asks_the_index_with_its_own_right(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1\nlogin session\npassword key\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("STUDIOLO_WORKSPACE", "ana/churn")
    with _Index({}, PROBLEM) as index:
        monkeypatch.setenv("STUDIOLO_INDEX", index.url)
        kernel = _Kernel(monkeypatch)
        watch(kernel)
        # An address elsewhere is never asked: our own index is.
        kernel.send(f"ERROR: 403 https://evil.example/pypi/denied/{FOLDER}/{FILE}\n")
        kernel.ran("!pip install requests")
    assert "Because: requests is blocked." in kernel.sent
    assert [headers["Authorization"] for _, headers in index.asked] == ["Basic c2Vzc2lvbjprZXk="]


def test_cells_that_install_nothing_say_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUDIOLO_INDEX", "http://127.0.0.1:1")
    kernel = _Kernel(monkeypatch)
    watch(kernel)
    kernel.send(ADDRESS)
    kernel.ran("print(log)")
    assert kernel.sent == ADDRESS


def test_without_an_index_nothing_is_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STUDIOLO_INDEX", raising=False)
    kernel = _Kernel(monkeypatch)
    watch(kernel)
    assert kernel.hooks == []
    assert kernel.tell is None


def test_of_a_version_that_is_left_out_the_index_is_asked_why(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = "TOO-NEW-lib--run--ml-jupyter-request-churn-lib"
    files = [
        {"url": "../../files/lib/lib-2.0-py3-none-any.whl"},
        *(
            {"url": f"../../denied/{folder}/lib-{one}-py3-none-any.whl", "requires-python": "===TOO-NEW"}
            for one in (4, 3)
        ),
    ]
    monkeypatch.setenv("STUDIOLO_WORKSPACE", "ana/churn")
    monkeypatch.delenv("NETRC", raising=False)
    refusal = {"rule": "cooldown_days: 7", "because": "lib 3 is too new."}
    with _Index({"/pypi/simple/lib/": {"files": files}}, refusal) as index:
        monkeypatch.setenv("STUDIOLO_INDEX", index.url)
        kernel = _Kernel(monkeypatch)
        watch(kernel)
        kernel.send("No solution found: Because there is no version of lib==3 and you require lib==3, we can\n")
        kernel.ran("!uv pip install lib==3")
        told, kernel.sent = kernel.sent.partition("\n\n")[2], ""
        kernel.ran("!uv pip install lib==3")
        assert not kernel.sent
    assert told.splitlines() == [
        "Refused: lib 3 in workspace churn",
        "Rule:    cooldown_days: 7",
        "Because: lib 3 is too new.",
        "Ask:     ml jupyter request churn lib==3",
    ]
    path, headers = index.asked[0]
    assert path == "/pypi/simple/lib/"
    assert headers["User-Agent"].startswith("pip/")
