"""Has a process do py-rattler's work, and ends it with the call."""

import asyncio
import json
from asyncio.subprocess import PIPE
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from studiolo.contract.errors import Conflict, InvalidInput, StudioloError, Unavailable
from studiolo.packages.conda.work import COMMAND, Job, write_job
from studiolo.runtime import landlock
from studiolo.server.environments.installing import Tell
from studiolo.server.settings.environment import plain_environment

# A whole solution comes in one.
_LONGEST = 64 << 20


async def run_conda(
    job: Job,
    tell: Tell = lambda line: None,
    variables: Mapping[str, str] | None = None,
    writes_in: Sequence[Path] = (),
) -> list[dict[str, Any]]:
    """Have a process do a job, and return its result; `tell` gets lines for people, the process `variables` more.

    `writes_in`: as `run_uv` has it.

    Raises Conflict (`package-unsolvable`), InvalidInput (`package-invalid`), Unavailable (`packages-unavailable`,
    `build-failed`).
    """
    environment = plain_environment() | dict(variables or {})
    # What it says besides goes where our own log goes.
    words = landlock.command(writes_in, COMMAND) if writes_in else COMMAND
    process = await asyncio.create_subprocess_exec(*words, stdin=PIPE, stdout=PIPE, env=environment, limit=_LONGEST)
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(write_job(job))
        process.stdin.close()
        async for raw in process.stdout:
            message = json.loads(raw)
            if "error" in message:
                raise _error(message["error"], message["text"])
            if "result" in message:
                found: list[dict[str, Any]] = message["result"]
                return found
            tell(message["line"])
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
    raise _error("failed", "The process that installs conda packages ended before its time.")


def _error(kind: str, text: str) -> StudioloError:
    said = " ".join(line.strip() for line in text.splitlines() if line.strip())[:2000]
    if kind == "unsolvable":
        return Conflict("package-unsolvable", said, hint="Name other versions, or leave one of the packages out.")
    if kind == "invalid":
        return InvalidInput("package-invalid", said, hint="Write a name, or a name with versions: numpy>=2.")
    if kind == "unavailable":
        return Unavailable(
            "packages-unavailable",
            f"A channel could not be asked: {said}",
            hint="Check the channel's name, and that the platform reaches it.",
        )
    return Unavailable("build-failed", said, hint="The environment is as it was. Try again, or ask an administrator.")
