"""Runs the process that scans (see packages.scan.worker): it is told on its input, and answers a line at a time."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import Callable
from contextlib import suppress

import structlog

from studiolo.contract.errors import Unavailable
from studiolo.packages.scan.job import ScanJob, ScanOutcome, ScanStep
from studiolo.runtime import landlock

_log = structlog.get_logger(__name__)
# A report of thousands of findings is one line.
_LONGEST_LINE = 64 << 20
_LOGGED = 2000


async def run_scan(job: ScanJob, tell: Callable[[str, int | None], None]) -> ScanOutcome:
    """Scan, and tell how far it is. Cancelled, it ends the process. Raises Unavailable (`scan-failed`)."""
    place = job.osv_index.parent
    await asyncio.to_thread(place.mkdir, parents=True, exist_ok=True)
    process = await asyncio.create_subprocess_exec(
        # Whatever the libraries that read foreign content can be led to do, they write nowhere else.
        *landlock.command([place], [sys.executable, "-P", "-m", "studiolo.packages.scan.worker"]),
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        limit=_LONGEST_LINE,
        # No setting of ours is meant for it, and it reads no secret from its environment.
        env={name: value for name, value in os.environ.items() if not name.startswith("STUDIOLO_")},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    complaints = asyncio.create_task(process.stderr.read())
    outcome = None
    try:
        with suppress(BrokenPipeError, ConnectionResetError):
            process.stdin.write(job.model_dump_json().encode())
            await process.stdin.drain()
            process.stdin.close()
        async for line in process.stdout:
            step = ScanStep.model_validate_json(line)
            outcome = step.outcome or outcome
            tell(step.phase, step.percent)
        await process.wait()
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        said = (await complaints).decode(errors="replace")
        if said:
            _log.info("scan-said", lines=said[-_LOGGED:])
    if outcome is None:
        raise Unavailable(
            "scan-failed",
            f"The process that scans ended without a report (status {process.returncode}).",
            hint="Scan again; the server's log has what it said.",
            detail=said[-_LOGGED:],
        )
    return outcome
