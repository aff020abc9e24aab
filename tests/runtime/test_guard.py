"""Code rules in a live ipykernel: what a cell does itself is refused, and what IPython does for it goes on."""

from collections.abc import Callable, Iterator

import pytest
from jupyter_client.manager import KernelManager

from studiolo.runtime import guard, packagenotice
from studiolo.runtime.kernelcommands import first_line

Cell = Callable[[str], str]


@pytest.fixture(scope="module")
def run() -> Iterator[Cell]:
    """Run a cell in a kernel that is guarded; returns what it printed, or its error."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(guard.VARIABLE, "socket subprocess os.system telnetlib")
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
