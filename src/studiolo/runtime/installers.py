"""Installing pins into an environment from the index that a launch's variables name: by uv, else by its own pip."""

import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from studiolo.runtime.launch import LaunchRequest
from studiolo.runtime.recipes import Pin

_LOOK_SECONDS = 0.25
_CAUSES_SHOWN = 4
_LONGEST = 400
_BLOCK = 65536
# uv draws a tree of causes.
_CROSS = "\N{MULTIPLICATION SIGN}"
_TREE = f"{_CROSS}├╰─▶│ "


class RebuildError(Exception):
    """An environment cannot be made; the text says why, in sentences."""


class InstallError(RebuildError):
    """The installer could not do it."""


class Patience:
    """How long making an environment may still take. A stop that the launch has been asked for ends it too."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._deadline = time.monotonic() + seconds

    def check(self) -> None:
        """Raise RebuildError if it is over. Signals that stop must be blocked."""
        if signal.sigpending() & {signal.SIGTERM, signal.SIGINT}:
            raise RebuildError("The session was stopped meanwhile.")
        if time.monotonic() > self._deadline:
            raise RebuildError(f"It took longer than {self._seconds:g} s; an administrator can allow it more time.")

    def wait(self, seconds: float) -> None:
        """Sleep. Raises RebuildError."""
        self.check()
        time.sleep(seconds)


def install(
    environment: Path,
    pins: tuple[Pin, ...],
    request: LaunchRequest,
    patience: Patience,
    say: Callable[[str], None],
) -> None:
    """Install exactly `pins`, and nothing that these depend on, into `environment`. Nothing is built.

    `say` gets what the installer says for people. Raises InstallError, RebuildError, OSError.
    """
    # On the same disk, so that files move into place.
    with tempfile.TemporaryDirectory(prefix=".install-", dir=environment.parent) as name:
        listed = Path(name, "pins.txt")
        listed.write_text("".join(f"{pin.line}\n" for pin in pins))
        command = _command(environment, listed, is_checked=all(pin.hashes for pin in pins))
        variables = {**request.variables, "NETRC": str(request.netrc_file), "UV_NO_CONFIG": "1", "TMPDIR": name}
        code, said = _run(command, variables, patience, say)
    if code != 0:
        raise InstallError(_explain(said, request.variables))


def _command(environment: Path, listed: Path, *, is_checked: bool) -> list[str]:
    beside = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    python, cache = str(environment / "bin" / "python"), str(listed.with_name("cache"))
    if uv := shutil.which("uv", path=beside):
        options = ["--no-deps", "--no-build", "--link-mode", "hardlink", "--color", "never", "--no-progress"]
        return [uv, "pip", "install", "--python", python, "--cache-dir", cache, *options, "-r", str(listed)]
    if list(environment.glob("lib/python3.*/site-packages/pip/__main__.py")):
        options = ["--no-deps", "--only-binary", ":all:", "--no-input", "--progress-bar", "off", "--no-cache-dir"]
        hashes = ["--require-hashes"] if is_checked else []
        return [python, "-P", "-m", "pip", "install", *options, *hashes, "-r", str(listed)]
    raise RebuildError("The image has neither uv nor pip.")


def _run(
    command: list[str], variables: Mapping[str, str], patience: Patience, say: Callable[[str], None]
) -> tuple[int, list[str]]:
    """Run the installer; returns its status and what it said. It is killed when patience is over."""
    said: list[str] = []
    # The installer of no other environment is meant.
    own = {name: value for name, value in variables.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")}
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=own, cwd="/"
    ) as process:
        assert process.stdout is not None
        try:
            for line in _lines(process.stdout.fileno(), patience):
                said.append(line)
                # uv lists what it has changed, which the lock says too.
                if not line.startswith(("+", "-", "~")):
                    say(line[:_LONGEST])
        except BaseException:
            process.kill()
            raise
        return process.wait(), said


def _lines(descriptor: int, patience: Patience) -> Iterator[str]:
    rest = b""
    while True:
        patience.check()
        if not select.select([descriptor], [], [], _LOOK_SECONDS)[0]:
            continue
        block = os.read(descriptor, _BLOCK)
        *whole, rest = (rest + block).split(b"\n")
        for line in (*whole, *(() if block else (rest,))):
            if text := line.decode(errors="replace").strip():
                yield text
        if not block:
            return


def _explain(said: list[str], variables: Mapping[str, str]) -> str:
    begin = next((number for number, line in enumerate(said) if line.startswith((_CROSS, "error", "ERROR"))), 0)
    causes = [line.lstrip(_TREE).removeprefix("error: ") for line in said[begin : begin + _CAUSES_SHOWN]]
    text = " ".join(causes)[:_LONGEST].rstrip(".") or "The installer did not say why"
    index = variables.get("STUDIOLO_INDEX", "the workspace's index")
    return f"{text}. See that sessions there reach {index}, then start the session again."
