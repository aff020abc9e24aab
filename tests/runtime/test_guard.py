"""Code rules in a live ipykernel: what a cell does itself is refused, and what IPython does for it goes on."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any

import pytest
from jupyter_client.manager import KernelManager

from studiolo.runtime import guard, packagenotice
from studiolo.runtime.kernelcommands import first_line

Cell = Callable[[str], str]


@dataclass
class Platform:
    """Hears what kernels tell: path, key and body of each request."""

    address: str
    heard: SimpleQueue[tuple[str, str, dict[str, Any]]] = field(default_factory=SimpleQueue)


@pytest.fixture(scope="module")
def platform() -> Iterator[Platform]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            made.heard.put((self.path, self.headers["Authorization"], body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made = Platform(f"http://127.0.0.1:{server.server_port}")
        Thread(target=server.serve_forever, daemon=True).start()
        yield made
        server.shutdown()


@pytest.fixture(scope="module")
def run(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cell]:
    """Run a cell in a kernel that is guarded; returns what it printed, or its error."""
    key = Path(tmp_path_factory.mktemp("guard"), "key")
    key.write_text("narrow")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(guard.VARIABLE, "socket subprocess os.system telnetlib")
        patch.setenv("STUDIOLO_URL", platform.address)
        patch.setenv("STUDIOLO_WORKSPACE", "ana/churn")
        patch.setenv("STUDIOLO_KEY_FILE", str(key))
        patch.setenv("KERNEL_ID", "k-1")
        manager = KernelManager(kernel_name="python3", transport="ipc")
        manager.start_kernel(extra_arguments=[first_line(packagenotice.__file__), first_line(guard.__file__)])
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(60)

    def execute(code: str) -> str:
        said = []

        def hear(message: dict[str, object]) -> None:
            content = message["content"]
            assert isinstance(content, dict)
            if message["msg_type"] == "stream":
                said.append(content["text"])
            elif message["msg_type"] == "error":
                said.append(f"{content['ename']}: {content['evalue']}")

        client.execute_interactive(code, timeout=60, output_hook=hear)
        return "".join(said)

    yield execute
    client.stop_channels()
    manager.shutdown_kernel(now=True)


@pytest.mark.parametrize(
    ("cell", "rule"),
    [
        ("import os\nos.system('true')", "os.system"),
        ("import subprocess\nsubprocess.run(['true'])", "subprocess"),
        ("import socket\nsocket.create_connection(('127.0.0.1', 1))", "socket"),
        ("import urllib.request\nurllib.request.urlopen('http://127.0.0.1:1')", "socket"),
        ("def inner():\n    os.system('true')\ninner()", "os.system"),
        ("%time os.system('true')", "os.system"),
        ("import telnetlib", "telnetlib"),
    ],
)
def test_what_a_rule_names_is_refused_with_the_rule(run: Cell, cell: str, rule: str) -> None:
    said = run(cell)
    assert "is blocked by the package policy of this workspace" in said
    assert f"(rule: {rule})" in said


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("!echo here", "here"),
        ("lines = !echo here\nprint(lines)", "['here']"),
        ("%%bash\necho here", "here"),
        ("!python -c 'import os; os.system(\"echo here\")'", "here"),
        ("%pip --version", "pip "),
        ("await __import__('asyncio').sleep(0)\nprint('here')", "here"),
        ("import os, socket, subprocess, json\nprint('here')", "here"),
    ],
)
def test_what_ipython_does_for_a_cell_goes_on(run: Cell, cell: str, said: str) -> None:
    assert said in run(cell)
    assert "blocked" not in run(cell)


def test_the_platform_hears_of_a_rule_once_and_of_no_code(run: Cell, platform: Platform) -> None:
    for _ in range(2):
        run("import telnetlib  # password: hunter2")
        run("import socket\nsocket.create_connection(('10.0.0.1', 1))")
    found: dict[str, list[str]] = {}
    # Whatever other tests had refused before is told by now or comes first.
    while {"telnetlib", "socket"} - found.keys():
        path, key, body = platform.heard.get(timeout=60)
        assert (path, key) == ("/api/v1/jupyter/workspaces/ana~churn/policy/guard", "Bearer narrow")
        assert body.keys() == {"kernel", "rule", "call"}
        assert body["kernel"] == "k-1"
        found.setdefault(body["rule"], []).append(body["call"])
    assert found["telnetlib"] == ["telnetlib"]
    assert len(found["socket"]) == 1
    assert found["socket"][0].startswith("socket.")
