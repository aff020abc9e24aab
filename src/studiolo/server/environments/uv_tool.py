"""Runs uv for planning and building: as a process with the machine's settings and none of our secrets."""

import asyncio
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import uv

from studiolo.runtime import landlock
from studiolo.server.environments.installing import Tell
from studiolo.server.settings.environment import plain_environment

# An activated environment of the caller is not the one to install into, and what it added to its index is not meant.
_FOREIGN = {"VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONHOME", "PYTHONPATH", "UV_PROJECT_ENVIRONMENT", "UV_CACHE_DIR"}
_LINES_KEPT = 40
# It repeats all that was asked for in one line where it says why nothing fits.
_LONGEST_LINE = 4 << 20


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended. `said`: the end of what it wrote for people."""

    code: int
    said: str


async def run_uv(
    arguments: Sequence[str],
    *,
    folder: Path,
    text: str = "",
    writes_in: Sequence[Path] = (),
    variables: Mapping[str, str] | None = None,
    tell: Tell | None = None,
) -> Outcome:
    """Run uv in `folder` with `text` on its input; `tell` gets its lines. It is killed when the call is cancelled.

    `writes_in`: the only folders where it can write anything, as far as the machine has Landlock; none named: anywhere.
    Raises OSError when it cannot be started.
    """
    environment = {name: value for name, value in plain_environment().items() if name not in _FOREIGN}
    words = [uv.find_uv_bin(), "--color", "never", "--no-progress", *arguments]
    process = await asyncio.create_subprocess_exec(
        *(landlock.command(writes_in, words) if writes_in else words),
        stdin=PIPE, stdout=DEVNULL, stderr=PIPE, limit=_LONGEST_LINE,
        env=environment | dict(variables or {}), cwd=folder,
    )  # fmt: skip
    try:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write(text.encode())
        process.stdin.close()
        said: list[str] = []
        async for raw in process.stderr:
            line = raw.decode(errors="replace").rstrip()
            said = [*said, line][-_LINES_KEPT:]
            if tell is not None and line.strip():
                tell(line.strip())
        return Outcome(await process.wait(), "\n".join(said).strip())
    except BaseException:
        if process.returncode is None:
            process.kill()
            await process.wait()
        raise
