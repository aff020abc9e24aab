"""Kernels by command line on a whole platform: started without JupyterLab, used from a terminal, seen by others."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from e2e.conftest import BIN, Platform
from studiolo.testing.waiting import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
_SECONDS = 60.0


@pytest.fixture(scope="module")
def kernel(platform: Platform) -> Iterator[str]:
    """A headless kernel in a workspace of its own."""
    platform.run("create", "headless")
    started = platform.run("kernels", "start", "headless", "--env", "MODE=fast", "--quiet").stdout.strip()
    yield started
    platform.run("kernels", "stop", started)
    ended = platform.json("kernels", "list", "--ended")
    assert started in [one["id"] for one in ended]


@pytest.fixture(scope="module")
def key(platform: Platform, kernel: str) -> str:
    """A gateway key for the kernel's workspace."""
    words = ("--name", "tests", "--gateway", "--workspace", "headless", "--quiet")
    return platform.run("keys", "create", *words).stdout.strip()


def run_in(platform: Platform, kernel: str, code: str, *options: str) -> "subprocess.CompletedProcess[str]":
    command = [BIN / "studiolo", "kernels", "attach", kernel, *options]
    return subprocess.run(
        command, input=code, capture_output=True, text=True, env=platform.variables, timeout=_SECONDS, check=False
    )


class Terminal:
    """A console in a terminal of its own."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.seen = ""

    def type(self, text: str) -> None:
        os.write(self._descriptor, text.encode())

    def wait(self, text: str) -> None:
        """Read until `text` came after all that was waited for before."""
        end = time.monotonic() + _SECONDS
        while text not in self.seen:
            left = end - time.monotonic()
            assert left > 0, f"{text!r} did not come: {self.seen!r}"
            if select.select([self._descriptor], [], [], left)[0]:
                self.seen += re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", os.read(self._descriptor, 65536).decode())
        self.seen = self.seen.partition(text)[2]


@contextmanager
def console(platform: Platform, *words: str) -> Iterator[tuple[Terminal, "subprocess.Popen[bytes]"]]:
    ours, theirs = pty.openpty()
    command = [BIN / "studiolo", "kernels", "attach", *words]
    # With a session and a terminal of its own, so that Ctrl-C reaches it as it would a person's.
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=platform.variables | {"TERM": "xterm"},
        start_new_session=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:  # fmt: skip
        os.close(theirs)
        try:
            yield Terminal(ours), process
        finally:
            process.terminate()
            os.close(ours)


@pytest.mark.req("S1-11", "S4-36")
def test_a_script_runs_in_a_kernel_that_keeps_its_variables(platform: Platform, kernel: str) -> None:
    done = run_in(platform, kernel, "import os\nprint(os.environ['MODE'])\ntotal = 41")
    assert (done.returncode, done.stdout, done.stderr) == (0, "fast\n", "")
    told = json.loads(run_in(platform, kernel[:8], "total + 1", "--json").stdout)
    assert (told["status"], told["outputs"][0]["data"]["text/plain"]) == ("ok", "42")
    failed = run_in(platform, kernel, "1 / 0")
    assert (failed.returncode, "ZeroDivisionError" in failed.stdout) == (1, True)


def test_output_that_nobody_saw_is_there_later(platform: Platform, kernel: str) -> None:
    run_in(platform, kernel, "for n in range(3): print('line', n)")
    shown = platform.run("kernels", "output", kernel).stdout
    assert "line 0\nline 1\nline 2\n" in shown


def test_a_console_edits_asks_and_is_interrupted(platform: Platform, kernel: str) -> None:
    with console(platform, kernel) as (terminal, process):
        terminal.wait(">>> ")
        terminal.type("for n in range(2):\r")
        terminal.wait("... ")
        terminal.type("    print('n', n)\r")
        terminal.wait("... ")
        terminal.type("\r")
        terminal.wait("n 1")
        terminal.wait(">>> ")
        terminal.type("who = input('who? ')\r")
        terminal.wait("who? ")
        terminal.wait("who? ")
        terminal.type("ana\r")
        terminal.wait(">>> ")
        terminal.type("who\r")
        terminal.wait("'ana'")
        terminal.wait(">>> ")
        terminal.type("import time; print('be' + 'gun', flush=True); time.sleep(60)\r")
        terminal.wait("begun")
        process.send_signal(signal.SIGINT)
        terminal.wait("KeyboardInterrupt")
        terminal.wait(">>> ")
        terminal.type("\x04")
        terminal.wait("Left. It goes on")
        assert process.wait(_SECONDS) == 0
    assert run_in(platform, kernel, "print(who)").stdout == "ana\n"


def test_what_others_run_is_shown_with_who(platform: Platform, kernel: str) -> None:
    with console(platform, kernel) as (terminal, _), console(platform, kernel, "--follow") as (watcher, watching):
        terminal.wait(">>> ")
        watcher.wait("Ctrl-C ends the look")
        run_in(platform, kernel, "print('from elsewhere')")
        for screen in (terminal, watcher):
            screen.wait("print('from elsewhere')")
            screen.wait("from elsewhere")
        watching.send_signal(signal.SIGINT)
        assert watching.wait(_SECONDS) == 130


def test_a_gateway_key_opens_kernels_and_nothing_else(platform: Platform, kernel: str, key: str) -> None:
    own = platform.variables
    code = (
        "import sys\nfrom studiolo.kernels import BlockingWebsocketKernelClient\n"
        "kernel = BlockingWebsocketKernelClient(url=sys.argv[1], key=sys.argv[2], kernel_id=sys.argv[3])\n"
        "kernel.start_channels()\nkernel.wait_for_ready(timeout=30)\n"
        "kernel.execute_interactive('print(1 + 1)', timeout=30)\nkernel.stop_channels()\n"
    )
    argv = [BIN / "python", "-c", code, platform.address, key, kernel]
    done = subprocess.run(argv, capture_output=True, text=True, env=own, timeout=_SECONDS, check=False)
    assert (done.stdout, done.stderr) == ("2\n", "")
    refused = subprocess.run(
        [BIN / "studiolo", "list"],
        capture_output=True,
        text=True,
        env=own | {"STUDIOLO_KEY": key},
        timeout=_SECONDS,
        check=False,
    )
    assert refused.returncode == 4


def test_a_restart_keeps_the_id_and_loses_the_variables(platform: Platform, kernel: str) -> None:
    run_in(platform, kernel, "kept = True")
    platform.run("kernels", "restart", kernel)
    wait_for(
        lambda: run_in(platform, kernel, "print('kept' in globals())").stdout == "False\n", "a fresh kernel", _SECONDS
    )


def snippets() -> list[str]:
    """The pieces of Python on the page about kernels, but for lines of a configuration file."""
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "use-kernels.md").read_text()
    return [found for found in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if not found.startswith("c.")]


@pytest.mark.parametrize("code", snippets(), ids=range(len(snippets())))
def test_what_the_page_says_of_python_works(platform: Platform, kernel: str, key: str, code: str) -> None:
    variables = {"STUDIOLO_URL": platform.address} | ({"STUDIOLO_KEY": key} if "nbclient" in code else {})
    done = subprocess.run(
        [BIN / "python", "-W", "error", "-c", code.replace('"churn"', '"headless"')],
        capture_output=True,
        text=True,
        env=platform.variables | variables,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.req("S4-36")
def test_a_notebooks_kernel_is_entered_from_a_terminal(platform: Platform) -> None:
    platform.run("create", "by-notebook")
    session = platform.json("start", "by-notebook")
    with httpx.Client(base_url=session["api_url"], headers=_key_of(platform), timeout=_SECONDS) as inside:
        wanted = {"path": "a.ipynb", "name": "a.ipynb", "type": "notebook", "kernel": {"name": "python3"}}
        started = inside.post("api/sessions", json=wanted).json()["kernel"]["id"]
    try:
        (listed,) = platform.json("kernels", "list", "by-notebook")
        assert (listed["id"], listed["path"], listed["session_id"]) == (started, "a.ipynb", session["id"])
        assert run_in(platform, started, "print('shared')").stdout == "shared\n"
        assert "shared" in platform.run("kernels", "output", started).stdout
    finally:
        platform.run("stop", "by-notebook")
    assert platform.json("kernels", "list", "by-notebook") == []


def _key_of(platform: Platform) -> dict[str, str]:
    made = platform.run("keys", "create", "--name", "inside", "--quiet").stdout.strip()
    return {"Authorization": f"Bearer {made}"}
