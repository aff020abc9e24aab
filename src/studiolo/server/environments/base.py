"""The default notebook environment: built once per lock and interpreter, then only ever cloned."""

import asyncio
import hashlib
import json
import os
import stat
import sys
import tempfile
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import uv

from studiolo import __version__
from studiolo.contract.errors import Unavailable
from studiolo.server.environments.client_wheel import write_client_wheel
from studiolo.server.environments.stage import Stage, claim, discard_abandoned, is_ready, list_parts

# Counts up when the way a base is made changes, so that old ones are not taken for new ones.
_LAYOUT = 1
SHIPPED_LOCK = Path(__file__).with_name("default.lock")
_PROBE = "import json,os,sys; print(json.dumps([sys.version, os.path.realpath(sys.executable)]))"
_ASK_AGAIN_SECONDS = 0.2
_LINES_SHOWN = 12
_WRITE_BITS = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH
# An activated environment of the caller is not the one to install into.
_FOREIGN = {"VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONHOME", "PYTHONPATH", "UV_PROJECT_ENVIRONMENT"}


async def ensure_base(
    data_dir: Path,
    *,
    python: str,
    lock_file: Path | None,
    timeout: timedelta,
    progress: Callable[[str], None],
) -> Path:
    """Return `DATA/environments/base-<hash>` for this lock and interpreter; build it first if it is not there.

    `python`: interpreter, empty for the running one. `lock_file`: requirements with hashes, None for ours, with which
    our own client of this version comes too (in a checkout, as it was when the base was built).
    `progress` gets lines for people. One caller builds, on this machine, and the others wait for it.
    Raises Unavailable (`base-environment-failed`), and leaves nothing that looks whole.
    """
    lock = (lock_file or SHIPPED_LOCK).absolute()
    environments = data_dir / "environments"
    try:
        async with asyncio.timeout(timeout.total_seconds()):
            version, interpreter = await _probe(python or sys.executable)
            text = await asyncio.to_thread(lock.read_bytes)
            client = [__version__.encode()] if lock_file is None else []
            name = _hash(text, version.encode(), interpreter.encode(), *client)
            target = environments / f"base-{name}"
            await asyncio.to_thread(_clear_abandoned, environments, target)
            stage = await _claim(target, progress)
            if stage is not None:
                with stage:
                    progress(f"Building the notebook environment for Python {version.split()[0]}.")
                    await _fill(stage, interpreter, lock, progress)
                    if client:
                        await _add_client(stage, progress)
                    await asyncio.to_thread(_make_read_only, stage.path)
                    # Not in the thread: a cancelled call must not publish what it also removes.
                    stage.publish()
                    progress("The notebook environment is built.")
    except TimeoutError as exc:
        raise _failed(f"It took longer than {timeout}.", "raise environments.build_timeout") from exc
    except OSError as exc:
        raise _failed(f"{exc}.", f"see that {environments} can be written and has 1 GB of free space") from exc
    return target


async def _probe(python: str) -> tuple[str, str]:
    """Ask an interpreter for its version and its real path."""
    process = await asyncio.create_subprocess_exec(
        python, "-I", "-c", _PROBE, stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL
    )
    output, _ = await process.communicate()
    if process.returncode != 0:
        raise _failed(f"The interpreter {python} does not run.", "set environments.python to one that does")
    version, path = json.loads(output)
    return version, path


def _hash(*parts: bytes) -> str:
    digest = hashlib.sha256(f"layout {_LAYOUT}".encode())
    for part in parts:
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()[:16]


def _clear_abandoned(environments: Path, target: Path) -> None:
    if not is_ready(target):
        for part in list_parts(environments, "base-"):
            discard_abandoned(part)


async def _claim(target: Path, progress: Callable[[str], None]) -> Stage | None:
    told = False
    while (stage := claim(target, wait=False)) is None and not is_ready(target):
        if not told:
            progress("Another process builds the notebook environment; waiting for it.")
        told = True
        await asyncio.sleep(_ASK_AGAIN_SECONDS)
    return stage


async def _fill(stage: Stage, interpreter: str, lock: Path, progress: Callable[[str], None]) -> None:
    # The folder exists and is ours, hence --allow-existing.
    await _uv(stage, progress, "venv", "--relocatable", "--allow-existing", "--python", interpreter, str(stage.path))
    await _uv(stage, progress, "pip", "sync", *_into(stage), str(lock))


async def _add_client(stage: Stage, progress: Callable[[str], None]) -> None:
    with tempfile.TemporaryDirectory(prefix="client-") as name:
        wheel, pin = await asyncio.to_thread(write_client_wheel, Path(name))
        pins = wheel.with_name("pins.txt")
        await asyncio.to_thread(pins.write_text, pin)
        # Whoever has the name at an index is not asked.
        here = ["--no-index", "--find-links", name, "--no-deps", "--no-cache"]
        await _uv(stage, progress, "pip", "install", *_into(stage), *here, "-r", str(pins))


def _into(stage: Stage) -> list[str]:
    python = str(stage.path / "bin" / "python")
    return ["--python", python, "--link-mode", "copy", "--compile-bytecode", "--require-hashes"]


def _make_read_only(prefix: Path) -> None:
    """Make all files read-only, so that a tool which writes in place fails, and put them on the disk."""
    for folder, _, names in os.walk(prefix):
        for path in (Path(folder, name) for name in names):
            if not path.is_symlink():
                path.chmod(path.stat().st_mode & ~_WRITE_BITS)
    os.sync()


async def _uv(stage: Stage, progress: Callable[[str], None], *arguments: str) -> None:
    """Run uv and pass on what it says. It inherits the stage's lock: should we be killed, others wait for it."""
    environment = {name: value for name, value in os.environ.items() if name not in _FOREIGN}
    process = await asyncio.create_subprocess_exec(
        uv.find_uv_bin(), *arguments, "--color", "never", "--no-progress",
        stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE, env=environment, cwd=stage.path.parent, pass_fds=[stage.lock],
    )  # fmt: skip
    said: list[str] = []
    try:
        assert process.stderr is not None
        async for raw in process.stderr:
            line = raw.decode(errors="replace").strip()
            said.append(line)
            if line and not line.startswith(("+", "-", "Activate")):
                progress(line)
        code = await process.wait()
    except BaseException:
        process.kill()
        await process.wait()
        raise
    if code != 0:
        raise _failed("\n".join(said[-_LINES_SHOWN:]), _advice("\n".join(said)))


def _advice(said: str) -> str:
    if "No space left" in said:
        return "free 1 GB of disk space"
    if "ash mismatch" in said or "to have their versions pinned" in said or "hash" in said.lower():
        return "see that the lock file is the original one and that the index serves the files it names"
    return "check that this machine reaches its package index (UV_DEFAULT_INDEX names a mirror)"


def _failed(what: str, advice: str) -> Unavailable:
    return Unavailable(
        "base-environment-failed",
        f"The notebook environment could not be built. {what}",
        hint=f"{advice[0].upper()}{advice[1:]}, then try again.",
    )
