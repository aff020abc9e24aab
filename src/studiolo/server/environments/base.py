"""The default notebook environment: built once per lock and interpreter, then cloned for each workspace."""

import asyncio
import fcntl
import hashlib
import os
import shutil
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from uv import find_uv_bin

from studiolo.contract.errors import Unavailable

# Raise when what is built from the same lock changes.
_LAYOUT = "1"
_SHIPPED_LOCK = Path(__file__).with_name("default.lock")
_WORDS_KEPT = 12
READY = ".ready"


async def ensure_base(
    data_dir: Path,
    *,
    python: str,
    lock_file: Path | None,
    timeout: timedelta,
    progress: Callable[[str], None],
) -> Path:
    """Return the prefix of the default environment, building it when it is not there.

    `python`: its interpreter, or empty for the one that runs this. Concurrent callers, also of other
    processes, wait for the one that builds. A killed build leaves nothing that looks whole.
    Raises Unavailable (`base-environment-failed`) with the end of the installer's words.
    """
    lock = lock_file or _SHIPPED_LOCK
    interpreter = python or sys.executable
    try:
        digest = hashlib.sha256(f"{_LAYOUT}\n{interpreter}\n{sys.version}\n".encode() + lock.read_bytes()).hexdigest()
        folder = data_dir / "environments"
        folder.mkdir(parents=True, exist_ok=True)
        base = folder / f"base-{digest[:16]}"
        if (base / READY).exists():
            return base
        async with _alone(folder / "base.lock"):
            if not (base / READY).exists():
                progress("Preparing the notebook environment: the first start only, about half a minute.")
                async with asyncio.timeout(timeout.total_seconds()):
                    await _build(base, interpreter, lock, progress)
                progress("The notebook environment is ready.")
    except TimeoutError as exc:
        raise _failed(f"it took longer than {timeout}", "Raise environments.build_timeout.") from exc
    except OSError as exc:
        raise _failed(f"{exc.strerror or exc}", "See that the disk is not full and can be written.") from exc
    return base


async def _build(base: Path, interpreter: str, lock: Path, progress: Callable[[str], None]) -> None:
    fresh = base.with_name(f"{base.name}.building")
    await asyncio.to_thread(shutil.rmtree, fresh, ignore_errors=True)
    uv = find_uv_bin()
    # Relocatable, so that a clone works where it stands.
    await _run([uv, "venv", "--relocatable", "--python", interpreter, str(fresh)], fresh, progress)
    sync = [uv, "pip", "sync", "--require-hashes", "--compile-bytecode", "--link-mode", "copy"]
    await _run([*sync, "--python", str(fresh / "bin" / "python"), str(lock)], fresh, progress)
    (fresh / READY).touch()
    await asyncio.to_thread(shutil.rmtree, base, ignore_errors=True)
    fresh.rename(base)


async def _run(command: list[str], prefix: Path, progress: Callable[[str], None]) -> None:
    variables = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")}
    process = await asyncio.create_subprocess_exec(
        *command,
        env=variables | {"NO_COLOR": "1"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    assert process.stdout is not None
    words: list[str] = []
    try:
        async for line in process.stdout:
            words.append(line.decode(errors="replace").rstrip())
            if words[-1].startswith(("Resolved", "Prepared", "Installed", "Bytecode", "Downloaded")):
                progress(words[-1])
        code = await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if code:
        said = "\n".join(words[-_WORDS_KEPT:]).replace(str(prefix), "the environment")
        raise _failed(
            f"the installer said:\n{said}",
            "Check that this machine reaches its package index; it is tried again by itself.",
        )


@asynccontextmanager
async def _alone(lock: Path) -> AsyncIterator[None]:
    """Hold a lock between processes while the block runs."""
    with lock.open("w") as file:
        await asyncio.to_thread(fcntl.flock, file, fcntl.LOCK_EX)
        yield


def _failed(why: str, hint: str) -> Unavailable:
    return Unavailable("base-environment-failed", f"The notebook environment could not be built: {why}.", hint=hint)
