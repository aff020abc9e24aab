"""Process 1 of a container, run as a process of this machine."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.test_workload import SECONDS, SECRET, Place, eventually
from studiolo.runtime.launch import read_json
from studiolo.testing.local import SessionClient

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def gate(run_dir: Path) -> Path:
    """Where the waiting program takes its launch."""
    return run_dir / "gate.sock"


@pytest.fixture
def waiting(gate: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A workload that waits, started for this test."""
    program = [sys.executable, "-P", "-m", "studiolo.engines.container.inside", "--wait", str(gate)]
    with subprocess.Popen(program, stdout=subprocess.DEVNULL) as process:
        yield process
        process.kill()


async def test_a_workload_that_waits_becomes_the_launch_that_it_is_told(
    waiting: "subprocess.Popen[bytes]", gate: Path, run_dir: Path, environment: Path
) -> None:
    place = Place(run_dir, environment)
    await eventually(gate.exists)
    place.files.request.write_bytes(place.request.to_line())
    reader, writer = await asyncio.open_unix_connection(gate)
    writer.write(f"{place.folder}\n".encode())
    async with asyncio.timeout(SECONDS):
        while json.loads(await reader.readline())["event"] != "ready":
            pass
    client = SessionClient(Path(place.request.socket), place.request.base_url, SECRET)
    async with client.http() as http:
        assert (await http.get("lab")).status_code == 200
    assert not place.files.request.exists()
    waiting.terminate()
    assert await asyncio.to_thread(waiting.wait, SECONDS) == 0
    assert (read_json(place.files.exit) or {})["reason"] == "stopped"
    writer.close()


async def test_a_workload_that_waits_ends_when_it_is_told_to_or_let_go(
    waiting: "subprocess.Popen[bytes]", gate: Path
) -> None:
    await eventually(gate.exists)
    _, writer = await asyncio.open_unix_connection(gate)
    writer.close()
    assert await asyncio.to_thread(waiting.wait, SECONDS) == 0
