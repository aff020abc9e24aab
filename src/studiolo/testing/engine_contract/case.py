"""An engine under test, and the steps that most claims about it begin and end with."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from studiolo.engines.base import Engine, Handle, Limits, Machine, Measures, Observation, Phase, WorkloadSpec
from studiolo.testing import waiting

GRACE = timedelta(seconds=5)
# Runs Python code in a kernel of a ready workload; returns what it printed, anything when that kernel died.
Run = Callable[[Handle, str], Awaitable[str]]


@dataclass(frozen=True)
class EngineCase:
    """An engine under test.

    `make_spec` returns a spec with a workload id not used before, `unknown_handle` a handle of such a workload
    that was never started. `crash` kills a ready workload without asking it. `run`: see Run; None: there are no
    kernels, and nothing can be measured from inside.

    `patience_seconds`: how long a start or a stop may take, a queue included; `verb_seconds`: how long one call may;
    `notice_seconds`: how soon an end that others caused is seen.

    What an engine does not have stays None, and the claims about it are skipped: `make_waiting_spec` returns a spec
    that waits for a place that is not there; `break_engine` has the engine not answer until `mend_engine`, workloads
    going on; `describe_object` returns all that the engine shows of a launch to those who may look at it.

    `whole_processors`: what a workload may use of them is rounded up to whole ones.

    With `carries_files` the engine is Stores, and what is stored is really kept.

    For an isolation of L1 or more: each spec is another workspace's, `data_dir` is the platform's data directory, if it
    is on this machine, and `sockets` are those of the platform. With
    `serves_platform` the specs' `platform_url` is served by the test.
    """

    engine: Engine
    make_spec: Callable[[], WorkloadSpec]
    unknown_handle: Callable[[], Handle]
    crash: Callable[[Handle], Awaitable[None]]
    patience_seconds: float = 30.0
    run: Run | None = None
    verb_seconds: float = 15.0
    notice_seconds: float = 15.0
    make_waiting_spec: Callable[[], WorkloadSpec] | None = None
    break_engine: Callable[[], Awaitable[None]] | None = None
    mend_engine: Callable[[], Awaitable[None]] | None = None
    describe_object: Callable[[Handle], Awaitable[str]] | None = None
    whole_processors: bool = False
    carries_files: bool = False
    data_dir: Path | None = None
    sockets: tuple[Path, ...] = ()
    serves_platform: bool = False


async def settle(case: EngineCase, handle: Handle, *phases: Phase, within: float | None = None) -> Observation:
    """Observe until one of `phases` is seen; raises AssertionError after `within` seconds or the case's patience."""
    return await waiting.settle(case.engine, handle, *phases, seconds=within or case.patience_seconds)


async def start_ready(case: EngineCase, limits: Limits | None = None) -> tuple[WorkloadSpec, Handle]:
    """Start a fresh workload and wait until it is ready."""
    spec = replace(case.make_spec(), limits=limits or Limits())
    handle = await case.engine.start(spec)
    seen = await settle(case, handle, Phase.READY, Phase.ENDED)
    assert seen.phase is Phase.READY, seen
    return spec, handle


async def end(case: EngineCase, handle: Handle) -> Observation:
    """Stop a workload and wait for its end."""
    await case.engine.stop(handle, grace=GRACE)
    return await settle(case, handle, Phase.ENDED)


async def describe(case: EngineCase) -> Machine:
    """Ask what the engine's machine has; skips the test of an engine that does not measure."""
    if not isinstance(case.engine, Measures):
        pytest.skip("the engine does not measure")
    return await case.engine.describe()
