"""The command line inside real sessions: exec, shell, logs, usage, and Ctrl-C."""

import json
import os
import pty
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from e2e.conftest import BIN, Platform, sign_in_cookie

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def workspace(platform: Platform) -> Iterator[str]:
    """A workspace with a session that runs."""
    platform.run("create", "by-hand")
    platform.run("start", "by-hand")
    yield "by-hand"
    platform.run("stop", "by-hand")


def exec_in(
    platform: Platform, workspace: str, *words: str, given: bytes = b""
) -> "subprocess.CompletedProcess[bytes]":
    command = [BIN / "studiolo", "exec", workspace, "--", *words]
    return subprocess.run(command, input=given, capture_output=True, env=platform.variables, timeout=60, check=False)


def test_a_command_runs_in_the_workspace_and_its_exit_code_is_passed_on(platform: Platform, workspace: str) -> None:
    done = exec_in(platform, workspace, "sh", "-c", "which python; pwd; echo err >&2; exit 7")
    python, folder = done.stdout.decode().split()
    assert done.returncode == 7
    assert done.stderr == b"err\n"
    identity = platform.json("info", workspace)["id"]
    assert f"/environments/{identity}/" in python
    assert folder.endswith(f"/workspaces/{identity}")


def test_input_and_output_are_the_same_byte_for_byte(platform: Platform, workspace: str) -> None:
    given = os.urandom(3_000_000)
    assert exec_in(platform, workspace, "cat", given=given).stdout == given


def test_what_is_no_program_is_told(platform: Platform, workspace: str) -> None:
    done = exec_in(platform, workspace, "no-such-program")
    assert done.returncode == 127
    assert done.stderr.startswith(b"error: There is no program 'no-such-program'")
    assert b"Traceback" not in done.stderr


def test_exec_as_json_holds_what_was_written(platform: Platform, workspace: str) -> None:
    done = platform.run("exec", workspace, "--json", "--", "sh", "-c", "echo hi; exit 3", check=False)
    assert done.returncode == 3
    assert '"stdout": "hi\\n"' in done.stdout


@pytest.mark.req("S0-112", "S0-113", "S0-114")
def test_git_keeps_what_is_in_a_workspace_in_its_persons_name(platform: Platform) -> None:
    folder = Path(platform.json("create", "kept-by-git")["path"])
    (folder / "notebooks" / "more.txt").write_text("1\n")
    (folder / ".studiolo").mkdir(exist_ok=True)
    (folder / ".studiolo" / "note").touch()
    for words in (("init",), ("add", "."), ("commit", "-m", "Initial commit")):
        platform.run("jupyter", "git", "kept-by-git", *words, program="ml")
    logged = platform.run("git", "kept-by-git", "log", "--format=%an|%ae|%s", "--name-only").stdout.split("\n")
    # The machine's own git may know a name for everybody.
    known = platform.run("exec", "kept-by-git", "--", "git", "config", "user.name", check=False).stdout.strip()
    me = platform.json("whoami")
    assert logged[0].split("|")[0] == (known or me["display_name"] or me["name"])
    assert logged[0].endswith("|Initial commit")
    assert "notebooks/more.txt" in logged
    assert not [line for line in logged if line.startswith(".studiolo")]
    # What is configured in the workspace comes before the account's.
    platform.run("git", "kept-by-git", "config", "user.name", "Somebody Else")
    platform.run("git", "kept-by-git", "commit", "--allow-empty", "-m", "Second")
    assert platform.run("git", "kept-by-git", "log", "-1", "--format=%an").stdout == "Somebody Else\n"
    refused = platform.run("git", "kept-by-git", "switch", "absent", check=False)
    assert refused.returncode == 128
    assert "absent" in refused.stderr
    told = json.loads(platform.run("git", "--json", "kept-by-git", "rev-parse", "--is-inside-work-tree").stdout)
    assert (told["exit_code"], told["stdout"]) == (0, "true\n")
    platform.run("stop", "kept-by-git")


def test_a_shell_reads_a_script_without_showing_a_prompt(platform: Platform, workspace: str) -> None:
    done = subprocess.run(
        [BIN / "studiolo", "shell", workspace],
        input=b"echo one; exit 3\n",
        capture_output=True,
        env=platform.variables,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (3, b"one\n", b"")


def test_ctrl_c_reaches_the_command(platform: Platform, workspace: str) -> None:
    script = "trap 'echo interrupted; exit 9' INT; echo ready; while :; do sleep 0.1; done"
    # Whoever runs the tests in the background has SIGINT ignored, which programs inherit.
    with subprocess.Popen(
        [BIN / "studiolo", "exec", workspace, "--", "sh", "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=platform.variables,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == b"ready\n"
        running.send_signal(signal.SIGINT)
        assert running.stdout.readline() == b"interrupted\n"
        assert running.wait(20) == 9


def test_a_shell_on_a_terminal_has_one(platform: Platform, workspace: str) -> None:
    master, terminal = pty.openpty()
    ends = {"stdin": terminal, "stdout": terminal, "stderr": terminal}
    with subprocess.Popen(
        [BIN / "studiolo", "shell", workspace], env=platform.variables, start_new_session=True, **ends
    ) as running:
        os.close(terminal)
        _read_until(master, b"# ", b"$ ")
        os.write(master, b"sleep 60\r")
        _read_until(master, b"sleep 60")
        os.write(master, b"\x03")
        _read_until(master, b"# ", b"$ ")
        os.write(master, b"tty; exit 4\r")
        assert b"/dev/pts/" in _read_until(master, b"/dev/pts/")
        assert running.wait(20) == 4
    os.close(master)


def test_a_machine_without_a_browser_signs_in_by_a_code(platform: Platform, tmp_path: Path) -> None:
    elsewhere = {**platform.variables, "XDG_CONFIG_HOME": str(tmp_path)}
    elsewhere = {name: value for name, value in elsewhere.items() if not name.startswith("STUDIOLO_")}
    origin = f"http://127.0.0.1:{platform.port}"
    with subprocess.Popen(
        [BIN / "studiolo", "login", platform.address], env=elsewhere, stderr=subprocess.PIPE, text=True
    ) as signing_in:
        assert signing_in.stderr is not None
        code = signing_in.stderr.readline().split()[-1]
        with httpx.Client(base_url=origin, headers={"Origin": origin}, cookies=sign_in_cookie(platform)) as browser:
            page = browser.get("/sign-in/device", params={"code": code})
            csrf = page.text.partition('name="csrf" value="')[2].partition('"')[0]
            browser.post("/sign-in/device/approve", data={"csrf": csrf, "code": code}).raise_for_status()
        assert signing_in.wait(30) == 0
    command = [BIN / "studiolo", "whoami", "--json"]
    who = subprocess.run(command, env=elsewhere, capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(who.stdout)["url"] == platform.address


def test_exec_starts_a_session_where_none_runs(platform: Platform) -> None:
    platform.run("create", "asleep")
    assert exec_in(platform, "asleep", "echo", "awake").stdout == b"awake\n"
    assert platform.json("sessions", "asleep")[0]["state"] == "running"
    platform.run("stop", "asleep")


def test_a_sessions_password_is_asked_of_commands_too(platform: Platform, workspace: str) -> None:
    platform.run("start", workspace, "--name", "locked", "--password", "open sesame")
    locked = f"{workspace}/locked"
    refused = platform.run("exec", locked, "--", "echo", "hi", check=False)
    assert (refused.returncode, "started with a password" in refused.stderr) == (4, True)
    assert platform.run("exec", locked, "--password", "open sesame", "--", "echo", "hi").stdout == "hi\n"
    platform.run("stop", locked)


def test_usage_is_measured(platform: Platform, workspace: str) -> None:
    found = platform.json("usage", workspace)
    assert found["now"]["memory"] > 1 << 20
    assert found["enforcement"]["note"]


@pytest.mark.req("S0-117")
def test_monitor_looks_again_and_again(platform: Platform, workspace: str) -> None:
    shown = platform.run("jupyter", "monitor", workspace, "--count=2", "--interval=0.5", program="ml").stdout
    assert shown.count("● running") == 2


def test_a_log_is_followed_until_the_session_ends(platform: Platform) -> None:
    platform.run("create", "chatty")
    platform.run("start", "chatty")
    with subprocess.Popen(
        [BIN / "studiolo", "logs", "chatty", "--follow"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=platform.variables,
    ) as following:
        assert following.stdout is not None
        assert following.stdout.readline()
        platform.run("stop", "chatty")
        _, said = following.communicate(timeout=60)
    assert following.returncode == 0, said


def _read_until(master: int, *ends: bytes, seconds: float = 20) -> bytes:
    """Return what a terminal shows up to one of `ends`."""
    shown, until = b"", time.monotonic() + seconds
    while not any(end in shown for end in ends):
        assert time.monotonic() < until, shown
        if select.select([master], [], [], 0.5)[0]:
            shown += os.read(master, 4096)
    return shown
