"""The local engine keeps the contract of engines, forking and spawning."""

import os
import signal

import psutil
import pytest

from studiolo.engines.base import Handle
from studiolo.runtime.launch import LaunchFiles, read_json
from studiolo.testing.engine_contract import *  # noqa: F403
from studiolo.testing.engine_contract import EngineCase
from studiolo.testing.fixtures import LocalBench

pytestmark = pytest.mark.parametrize("bench", ["fork", "spawn"], indirect=True)


@pytest.fixture
def case(bench: LocalBench) -> EngineCase:
    """The local engine as a case of the contract."""

    async def crash(handle: Handle) -> None:
        known = read_json(LaunchFiles(bench.files(handle)).shim)
        assert known is not None
        # A server alone would be started anew.
        os.kill(known["pid"], signal.SIGKILL)

    sessions, away = bench.data_dir / "sessions", bench.data_dir / "away"

    async def break_engine() -> None:
        sessions.rename(away)
        sessions.touch()

    async def mend_engine() -> None:
        sessions.unlink()
        away.rename(sessions)

    async def describe_object(handle: Handle) -> str:
        files = [file for file in bench.files(handle).rglob("*") if file.is_file()]
        programs = [process.info["cmdline"] for process in psutil.process_iter(["cmdline"])]
        return f"{[file.read_text() for file in files]} {programs}"

    async def run(handle: Handle, code: str) -> str:
        client = bench.client(handle)
        return await client.run(await client.start_kernel(), code)

    return EngineCase(
        engine=bench.engine,
        make_spec=bench.spec,
        unknown_handle=lambda: {"workload_id": bench.spec().workload_id, "launch": 1},
        crash=crash,
        run=run,
        break_engine=break_engine,
        mend_engine=mend_engine,
        describe_object=describe_object,
        data_dir=bench.data_dir,
    )
