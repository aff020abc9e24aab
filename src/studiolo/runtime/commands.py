"""A command that a person runs in a session: its process, its pipes or terminal, and the end of all it started."""

import asyncio
import contextlib
import fcntl
import functools
import json
import os
import secrets
import signal
import struct
import subprocess
import termios
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from studiolo.runtime import processes

OUTPUT, ERROR = 1, 2
# Carried by all that a command starts, so that it is found when its parents are gone.
_MARKER = "STUDIOLO_COMMAND"
_END_OF_FILE = b"\x04"
_POLL_SECONDS = 0.05
_TURNS, _TURN_SECONDS = 10, 0.1
_CHUNK_BYTES = 65536


class RefusedCommandError(ValueError):
    """A command cannot be run; the text says why."""


@dataclass(frozen=True, slots=True)
class CommandRequest:
    """What to run. No `argv`: the person's shell. `cwd`: from the workspace's folder. `size`: (rows, columns)."""

    argv: Sequence[str]
    cwd: str = ""
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    size: tuple[int, int] | None = None

    @classmethod
    def from_frame(cls, frame: str | bytes) -> "CommandRequest":
        """Read `{"argv": [...], "cwd": null, "env": {}, "tty": {"rows", "columns"} | null}`.

        Raises RefusedCommandError. Source: decision 003.
        """
        try:
            members = json.loads(frame)
            argv, env, tty = members["argv"], members.get("env") or {}, members.get("tty")
            request = cls(argv, members.get("cwd") or "", env, read_size(tty) if tty else None)
        except (ValueError, KeyError, TypeError, AttributeError) as exc:
            raise RefusedCommandError(f"The first frame does not name a command: {exc!r}.") from exc
        texts = [*argv, request.cwd, *env.keys(), *env.values()] if isinstance(argv, list) else [None]
        if not all(isinstance(text, str) and "\0" not in text for text in texts) or any("=" in name for name in env):
            raise RefusedCommandError("A command's words, folder and variables are texts without a null character.")
        return request


def read_size(members: Mapping[str, Any]) -> tuple[int, int]:
    """Return (rows, columns); raises ValueError, KeyError or TypeError when they are no size of a terminal."""
    rows, columns = int(members["rows"]), int(members["columns"])
    if not (0 < rows < 65536 and 0 < columns < 65536):
        raise ValueError("a terminal has 1 to 65535 rows and columns")
    return rows, columns


class Command:
    """A running command. `outputs`: by stream, OUTPUT or ERROR, what it writes; a terminal has OUTPUT only."""

    input: asyncio.StreamWriter

    def __init__(self, process: subprocess.Popen[bytes], marker: str, terminal: int | None) -> None:
        self._process = process
        self._marker = marker
        self._terminal = terminal
        self._transports: list[asyncio.BaseTransport] = []
        self.outputs: dict[int, asyncio.StreamReader] = {}

    @classmethod
    async def start(cls, request: CommandRequest, folder: Path, shell: Sequence[str]) -> "Command":
        """Start it in a process group of its own. Raises RefusedCommandError."""
        marker = secrets.token_hex(8)
        argv, cwd = list(request.argv) or list(shell), folder / request.cwd
        env = {**os.environ, **request.env, _MARKER: marker}
        if request.size:
            env.setdefault("TERM", "xterm-256color")
        try:
            process, terminal = _spawn(argv, cwd, env, request.size)
        except (OSError, subprocess.SubprocessError) as exc:
            raise RefusedCommandError(_explain(exc, argv[0], cwd)) from exc
        processes.offer_to_oom_killer(processes.WORK_OOM_SCORE, process.pid)
        command = cls(process, marker, terminal)
        await command._connect()
        return command

    async def _connect(self) -> None:
        if self._terminal is None:
            stdin, sources = self._process.stdin, {OUTPUT: self._process.stdout, ERROR: self._process.stderr}
        else:
            stdin = os.fdopen(os.dup(self._terminal), "wb", buffering=0)
            sources = {OUTPUT: os.fdopen(os.dup(self._terminal), "rb", buffering=0)}
        loop = asyncio.get_running_loop()
        for stream, source in sources.items():
            reader = self.outputs[stream] = asyncio.StreamReader(_CHUNK_BYTES)
            reading, _ = await loop.connect_read_pipe(functools.partial(asyncio.StreamReaderProtocol, reader), source)
            self._transports.append(reading)
        writing, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, stdin)
        self._transports.append(writing)
        self.input = asyncio.StreamWriter(writing, protocol, None, loop)

    async def read(self, stream: int) -> bytes:
        """Return what the command wrote since, at most 64 KiB; empty at the end."""
        try:
            return await self.outputs[stream].read(_CHUNK_BYTES)
        except OSError:
            # So Linux says that nobody has the terminal open any more.
            return b""

    def end_input(self) -> None:
        """Tell the command that no input follows."""
        if self._terminal is None:
            self.input.close()
        elif not self.input.is_closing():
            self.input.write(_END_OF_FILE)

    def signal(self, name: str) -> None:
        """Send SIG`name` to the command's group, on a terminal to what is in its foreground. Raises ValueError."""
        number = getattr(signal.Signals, f"SIG{name.removeprefix('SIG')}", None)
        if number is None:
            raise ValueError(f"There is no signal {name!r}.")
        if self._process.poll() is None:
            with contextlib.suppress(OSError):
                os.killpg(self._foreground(), number)

    def resize(self, size: tuple[int, int]) -> None:
        """Give its terminal another size; pipes have none."""
        if self._terminal is not None:
            _resize(self._terminal, size)

    def is_busy(self) -> bool:
        """Tell whether more runs than a shell that waits for its person."""
        return self._terminal is None or self._foreground() != self._process.pid

    async def wait(self) -> int:
        """Return the exit code once it has ended; 128 and the signal's number if a signal ended it."""
        pidfd = os.pidfd_open(self._process.pid) if hasattr(os, "pidfd_open") else None
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        if pidfd is not None:
            loop.add_reader(pidfd, ended.set)
        try:
            while (code := self._process.poll()) is None:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(None if pidfd is not None else _POLL_SECONDS):
                        await ended.wait()
        finally:
            if pidfd is not None:
                loop.remove_reader(pidfd)
                os.close(pidfd)
        return 128 - code if code < 0 else code

    async def end(self) -> None:
        """End it and all that it started: ask, then kill."""
        for number in (signal.SIGHUP, signal.SIGKILL):
            for turn in range(_TURNS):
                pid = self._process.pid if self._process.poll() is None else None
                family = await asyncio.to_thread(_find_family, pid, self._marker)
                if not family:
                    return
                if turn == 0 or number is signal.SIGKILL:
                    processes.send_signal(family, number)
                await asyncio.sleep(_TURN_SECONDS)

    def close(self) -> None:
        """Let go of its terminal."""
        for transport in self._transports:
            transport.close()
        if self._terminal is not None:
            os.close(self._terminal)
            self._terminal = None

    def _foreground(self) -> int:
        group = 0
        if self._terminal is not None:
            with contextlib.suppress(OSError):
                group = os.tcgetpgrp(self._terminal)
        return group or self._process.pid


def _spawn(
    argv: Sequence[str], cwd: Path, env: Mapping[str, str], size: tuple[int, int] | None
) -> tuple[subprocess.Popen[bytes], int | None]:
    """Start a process on pipes, or with a `size` on a terminal, whose other end is returned too."""
    # Not by asyncio: up to Python 3.12 that hears of the end only when all that hold the pipes have ended.
    if size is None:
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            argv, bufsize=0, cwd=cwd, env=env, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True
        )
        return process, None
    ours, theirs = os.openpty()
    try:
        _resize(ours, size)
        process = subprocess.Popen(
            argv,
            cwd=cwd,
            env=env,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=_take_terminal,
        )
    except BaseException:
        os.close(ours)
        raise
    finally:
        os.close(theirs)
    return process, ours


def _find_family(pid: int | None, marker: str) -> list[processes.Process]:
    family = processes.list_marked(_MARKER, marker)
    if pid is not None and (itself := processes.find_process(pid)) is not None:
        family += [itself, *processes.list_descendants(pid)]
    return list(dict.fromkeys(family))


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _resize(terminal: int, size: tuple[int, int]) -> None:
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))


def _explain(exc: Exception, program: str, cwd: Path) -> str:
    if not cwd.is_dir():
        return f"There is no folder {cwd}."
    if isinstance(exc, FileNotFoundError):
        return f"There is no program {program!r} in this workspace."
    return f"{program!r} cannot be run: {getattr(exc, 'strerror', None) or exc}."
