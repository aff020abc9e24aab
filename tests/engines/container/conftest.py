"""A real Podman (scripts/engines/podman.sh up), and the container engine on it."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engines.container.bench import PATIENCE, Bench, Cable
from studiolo.engines.container.settings import ContainerSettings
from studiolo.testing.fixtures import nothing_wanted


def find_podman() -> str:
    """Return where a Podman of the tests' own listens; its image is in STUDIOLO_TEST_PODMAN_IMAGE."""
    if "STUDIOLO_TEST_PODMAN" not in os.environ:
        end = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        end('no Podman for tests: scripts/engines/podman.sh up; eval "$(scripts/engines/podman.sh env)"')
    return os.environ["STUDIOLO_TEST_PODMAN"]


@pytest.fixture(scope="session")
def podman() -> str:
    """Where a Podman of the tests' own listens."""
    return find_podman()


@pytest.fixture
def settings(request: pytest.FixtureRequest, podman: str, run_dir: Path) -> ContainerSettings:
    """The engine's settings; a test's parameter adds to them."""
    given = {
        "url": f"unix://{run_dir / 'cable.sock'}",
        "image": os.environ["STUDIOLO_TEST_PODMAN_IMAGE"],
        "images": ["127.0.0.1:*"],
        # A machine full of other tests.
        "call_seconds": 60,
    }
    return ContainerSettings(**(given | getattr(request, "param", {})))


@pytest.fixture
async def platform(bench: Bench) -> AsyncIterator[list[bytes]]:
    """Answers at the door as the platform would; what was asked is in the list."""
    asked: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        await writer.drain()
        writer.close()

    assert bench.ground.door is not None
    bench.ground.door.parent.mkdir()
    async with await asyncio.start_unix_server(answer, bench.ground.door):
        bench.ground.door.chmod(0o666)
        yield asked


@pytest.fixture
async def bench(
    tmp_path: Path, run_dir: Path, environment: Path, podman: str, settings: ContainerSettings
) -> AsyncIterator[Bench]:
    """A container engine on the real Podman; leaves nothing running."""
    cable = Cable(run_dir / "cable.sock", podman.removeprefix("unix://"))
    await cable.plug_in()
    bench = Bench(tmp_path, run_dir, environment, podman, cable, settings)
    yield bench
    async with asyncio.timeout(PATIENCE):
        while await bench.engine.sweep(nothing_wanted):
            await asyncio.sleep(0.05)
    await bench.engine.aclose()
    await cable.pull_out()
