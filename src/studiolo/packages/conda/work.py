"""py-rattler's work in a process, which can be ended at any moment: `python -m studiolo.packages.conda.work`.

One job comes as JSON on stdin. Lines of JSON go out: `{"line"}` for people, then `{"result"}` or `{"error", "text"}`.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from functools import partial
from typing import Any, Literal

from rattler.exceptions import GatewayError, InvalidMatchSpecError, SolverError

from studiolo.packages.conda.installing import InstallJob, NotInstalledError, Wanted, install_job
from studiolo.packages.conda.solving import SearchJob, SolveJob, search_job, solve_job

Job = SolveJob | SearchJob | InstallJob
Failure = Literal["unsolvable", "invalid", "unavailable", "failed"]
# Nothing is to be imported from where the platform happens to stand.
COMMAND = [sys.executable, "-P", "-m", "studiolo.packages.conda.work"]
_FAILURES: dict[type[Exception], Failure] = {
    SolverError: "unsolvable",
    InvalidMatchSpecError: "invalid",
    GatewayError: "unavailable",
    NotInstalledError: "failed",
}


def write_job(job: Job) -> bytes:
    """Return a job as the process reads it."""
    return json.dumps({"kind": type(job).__name__, **asdict(job)}).encode()


def main() -> int:
    """Do the job. Returns 0 also when it failed: the last line says so."""
    job = json.load(sys.stdin)
    try:
        result = asyncio.run(_do(job))
    except Exception as exc:
        _say({"error": _FAILURES.get(type(exc), "failed"), "text": str(exc)})
    else:
        _say({"result": result})
    return 0


async def _do(job: dict[str, Any]) -> list[dict[str, Any]]:
    kind, channels = job.pop("kind"), [(name, url) for name, url in job.pop("channels")]
    if kind == SolveJob.__name__:
        return await _ask(partial(solve_job, SolveJob(channels=channels, **job)))
    if kind == SearchJob.__name__:
        return await _ask(partial(search_job, SearchJob(channels=channels, **job)))
    install = [Wanted(**one) for one in job.pop("install")]
    login = job.pop("login")
    wanted = InstallJob(channels=channels, install=install, login=tuple(login) if login else None, **job)
    await install_job(wanted, lambda line: _say({"line": line}))
    return []


async def _ask(job: Callable[..., Awaitable[list[dict[str, Any]]]]) -> list[dict[str, Any]]:
    try:
        return await job(uses_kept=True)
    except GatewayError:
        # Simple servers say "not modified" without the dates that py-rattler wants with it; asked anew, they answer.
        return await job(uses_kept=False)


def _say(message: dict[str, Any]) -> None:
    sys.stdout.write(f"{json.dumps(message)}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
