"""Commands that run commands in a session: exec, git and shell."""

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import termios
import threading
import time
import tty
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, NoReturn

import typer

from studiolo.cli.arguments import SessionOrWorkspaceArgument
from studiolo.cli.invocation import connect, current
from studiolo.cli.output import emit, say
from studiolo.cli.resuming import session_for
from studiolo.cli.waiting import cancelling, wait_until_ready
from studiolo.contract.models import Session
from studiolo.sdk import AsyncStudiolo
from studiolo.sdk.execution import OUTPUT, Command, Running

PasswordOption = Annotated[
    str | None, typer.Option("--password", metavar="PASSWORD", help="The session's password, where it has one.")
]
# Without a terminal a shell reads its input as a script: it shows no prompt.
_SCRIPT = ("/bin/sh", "-c", 'exec "${SHELL:-/bin/sh}"')
# What is configured there comes first. Kept versions and deleted files are no part of a repository.
GIT = """
kept=$(git rev-parse --git-path info/exclude 2>/dev/null) && ! grep -qxF .studiolo/ "$kept" 2>/dev/null &&
  mkdir -p "${kept%/*}" && echo .studiolo/ >>"$kept"
git config user.name >/dev/null || export GIT_AUTHOR_NAME="$1" GIT_COMMITTER_NAME="$1"
git config user.email >/dev/null || export GIT_AUTHOR_EMAIL="$2" GIT_COMMITTER_EMAIL="$2"
shift 2
exec git "$@"
"""
_CHUNK_BYTES = 1 << 16
# What shells report for a program that SIGKILL ended.
_KILLED = 137
_LOOKS = 4
_SIGNALS = {signal.SIGINT: "INT", signal.SIGTERM: "TERM", signal.SIGHUP: "HUP"}


def exec_(
    target: SessionOrWorkspaceArgument,
    argv: Annotated[list[str], typer.Argument(metavar="-- COMMAND", help="The command and its arguments.")],
    password: PasswordOption = None,
) -> None:
    """Run a command in a workspace's environment and folder, and pass on its exit code.

    Input and output are its own, byte for byte; Ctrl-C reaches it as a signal. If no session of yours runs in
    the workspace, one is started.

    \b
    Examples:
      studiolo exec churn -- python train.py
      studiolo exec churn -- tar c data | tar x
    """
    _execute(_ready(target), argv, password)


def git(
    target: SessionOrWorkspaceArgument,
    argv: Annotated[list[str], typer.Argument(metavar="GIT-COMMAND", help="What git is to do, with its options.")],
) -> None:
    """Run git in a workspace's folder, and pass on its exit code.

    Commits are yours: where git is told no name and address there, it takes those of your account. What belongs to
    this command (`--json`, `--url`) stands before the workspace. Versions and deleted files that Studiolo keeps there
    are left out. If no session of yours runs in it, one is started.

    \b
    Examples:
      studiolo git churn init
      studiolo git churn add .
      studiolo git churn commit -m "Initial commit"
    """
    with connect() as client:
        me = client.me.get()
    name, address = me.display_name or me.name, me.email or f"{me.name}@localhost"
    _execute(_ready(target), ["/bin/sh", "-c", GIT, "git", name, address, *argv])


git.passes_options_on = True  # type: ignore[attr-defined]


def shell(target: SessionOrWorkspaceArgument, password: PasswordOption = None) -> None:
    """Open a shell in a workspace's environment and folder; with input that is no terminal, run it as a script.

    \b
    Examples:
      studiolo shell churn
      echo 'pip list' | studiolo shell churn
    """
    session = _ready(target)
    argv = () if _is_terminal() else _SCRIPT
    raise typer.Exit(_run(session, Command(argv, password=password or _ask_password(session))))


def _execute(session: Session, argv: list[str], password: str | None = None) -> NoReturn:
    password = password or _ask_password(session)
    if current().json:
        with connect() as client:
            done = client.sessions.execute(session.id, argv, input=_all_input(), password=password)
        told = {"exit_code": done.exit_code, "stdout": done.stdout, "stderr": done.stderr}
        emit(
            {name: v.decode(errors="replace") if isinstance(v, bytes) else v for name, v in told.items()}, lambda: None
        )
        raise typer.Exit(done.exit_code)
    raise typer.Exit(_run(session, Command(tuple(argv), password=password)))


def _ready(target: str) -> Session:
    with connect() as client:
        session = session_for(client, target)
        with cancelling(client, session):
            return wait_until_ready(client, session)


def _ask_password(session: Session) -> str | None:
    """Ask for a session's password where it has one and somebody can answer."""
    if not session.has_password or not sys.stdin.isatty():
        return None
    return str(typer.prompt(f"Password of {session.name}", hide_input=True, err=True))


def _run(session: Session, command: Command) -> int:
    if is_terminal := _is_terminal():
        size = shutil.get_terminal_size()
        env = {"TERM": os.environ.get("TERM", "xterm")}
        command = replace(command, env=env, terminal=(size.lines, size.columns))
    began = datetime.now(UTC)
    with _raw(is_terminal):
        code = asyncio.run(_attach(session, command))
    if code == _KILLED:
        _tell_death(session, began)
    return code


def _tell_death(session: Session, began: datetime) -> None:
    """Say so if the command was ended for want of memory; that is known within seconds of its end."""
    with connect() as client:
        for _ in range(_LOOKS):
            for death in client.sessions.usage(session.id).deaths:
                if death.at >= began:
                    say(f"note: {death.message}")
                    return
            time.sleep(0.5)


def _is_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


async def _attach(session: Session, command: Command) -> int:
    called = current()
    async with (
        AsyncStudiolo(called.url, insecure=called.insecure) as client,
        client.attach(session, command) as running,
    ):
        feeding = asyncio.create_task(_feed(running))
        with _passing_signals(running, has_terminal=command.terminal is not None):
            async for stream, data in running:
                out = sys.stdout if stream == OUTPUT else sys.stderr
                out.buffer.write(data)
                out.buffer.flush()
        feeding.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await feeding
    assert running.exit_code is not None
    return running.exit_code


async def _feed(running: Running) -> None:
    """Pass standard input on until it ends."""
    chunks: asyncio.Queue[bytes] = asyncio.Queue(maxsize=1)
    loop = asyncio.get_running_loop()

    def read() -> None:
        # A thread of its own that nobody waits for: a read of a terminal cannot be broken off.
        while True:
            chunk = os.read(sys.stdin.fileno(), _CHUNK_BYTES)
            try:
                asyncio.run_coroutine_threadsafe(chunks.put(chunk), loop).result()
            except (RuntimeError, asyncio.CancelledError):
                return
            if not chunk:
                return

    threading.Thread(target=read, daemon=True, name="standard input").start()
    while chunk := await chunks.get():
        await running.write(chunk)
    await running.end_input()


@contextlib.contextmanager
def _passing_signals(running: Running, *, has_terminal: bool) -> Iterator[None]:
    """Send on what this process is signalled; the size of the terminal too."""
    loop, tasks = asyncio.get_running_loop(), set[asyncio.Task[None]]()

    def later(task: asyncio.Task[None]) -> None:
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    def resize() -> None:
        size = shutil.get_terminal_size()
        later(loop.create_task(running.resize(size.lines, size.columns)))

    def send(name: str) -> None:
        later(loop.create_task(running.signal(name)))

    for number, name in _SIGNALS.items():
        loop.add_signal_handler(number, send, name)
    if has_terminal:
        loop.add_signal_handler(signal.SIGWINCH, resize)
    try:
        yield
    finally:
        for number in (*_SIGNALS, *([signal.SIGWINCH] if has_terminal else [])):
            loop.remove_signal_handler(number)


@contextlib.contextmanager
def _raw(is_terminal: bool) -> Iterator[None]:
    """Hand every key to the command, and give the terminal back as it was."""
    if not is_terminal:
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    try:
        tty.setraw(sys.stdin)
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def _all_input() -> bytes:
    """Return what is piped in; a terminal gives nothing."""
    return b"" if sys.stdin.isatty() or not hasattr(sys.stdin, "buffer") else sys.stdin.buffer.read()
