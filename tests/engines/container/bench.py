"""The container engine on a real Podman, and what tests need around it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from aiodocker import Docker

from studiolo.contract.ids import IdKind, new_id
from studiolo.engines.base import Handle, Phase, WorkloadSpec
from studiolo.engines.container.engine import ContainerEngine
from studiolo.engines.container.settings import ContainerSettings
from studiolo.engines.plugins import EngineGround
from studiolo.testing.fixtures import SECRET
from studiolo.testing.local import SessionClient
from studiolo.testing.ports import free_port
from studiolo.testing.waiting import settle

PATIENCE = 120.0
INSTANCE = "test"


class Cable:
    """A unix socket that leads to another, and can be pulled out."""

    def __init__(self, near: Path, far: str) -> None:
        self.near = near
        self._far = far
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._carrying: set[asyncio.Task[None]] = set()

    async def plug_in(self) -> None:
        """Carry connections again."""
        self._server = await asyncio.start_unix_server(self._take, self.near)

    async def pull_out(self) -> None:
        """Carry none, and cut those there are."""
        assert self._server is not None
        self._server.close()
        for writer in list(self._open):
            writer.transport.abort()
        await asyncio.gather(*self._carrying, return_exceptions=True)
        self.near.unlink(missing_ok=True)

    def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._carry(reader, writer))
        self._carrying.add(task)
        task.add_done_callback(self._carrying.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_unix_connection(self._far)
        self._open |= {writer, far_writer}
        try:
            await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))
        finally:
            self._open -= {writer, far_writer}
            writer.close()
            far_writer.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, RuntimeError):
            while chunk := await reader.read(65536):
                writer.write(chunk)
                await writer.drain()
            writer.write_eof()


class Bench:
    """A container engine with its folders, and what tests need around it."""

    def __init__(
        self, folder: Path, run_dir: Path, environment: Path, daemon: str, cable: Cable, settings: ContainerSettings
    ) -> None:
        self.data_dir = folder
        self.environment = environment
        self.daemon = daemon
        self.cable = cable
        self.settings = settings
        self.address = f"http://127.0.0.1:{free_port()}"
        self.ground = EngineGround(
            data_dir=folder,
            sockets=run_dir / "s",
            instance=f"{INSTANCE}-{run_dir.name}",
            address=self.address,
            stop_grace=5.0,
            door=run_dir / "w" / "door.sock",
        )
        self.engine = ContainerEngine(self.ground, settings)
        self.workspace = folder / "workspaces" / "w"
        (self.workspace / "notebooks").mkdir(parents=True)

    def spec(self, **changes: Any) -> WorkloadSpec:
        """Return a spec, of a fresh id if none is given."""
        workload_id = changes.setdefault("workload_id", new_id(IdKind.SESSION))
        values: dict[str, Any] = {
            "launch": 1,
            "folder": self.workspace,
            "environment": self.environment,
            "base_url": f"/s/{workload_id}/",
            "secret": SECRET,
            "platform_url": self.address,
        }
        return WorkloadSpec(**(values | changes))

    def container(self, handle: Handle) -> str:
        """Return the name of a launch's container."""
        return f"studiolo-{self.ground.instance}-{handle['workload_id']}-{handle['launch']}"

    @contextlib.asynccontextmanager
    async def docker(self) -> AsyncIterator[Docker]:
        """A client of the daemon's that is not the engine's."""
        async with Docker(url=self.daemon) as docker:
            yield docker

    async def kill(self, handle: Handle) -> None:
        """Kill a container as somebody at the machine would."""
        async with self.docker() as docker:
            await docker.containers.container(self.container(handle)).kill(signal="SIGKILL")

    async def client(self, handle: Handle) -> SessionClient:
        """Return a client of a ready session, at the upstream that the front door is told."""
        upstream = (await self.engine.observe(handle)).upstream
        assert upstream is not None
        return SessionClient(Path(upstream.removeprefix("unix/")), f"/s/{handle['workload_id']}/", SECRET)

    async def run(self, handle: Handle, code: str) -> str:
        """Run code in a new kernel of the session."""
        client = await self.client(handle)
        return await client.run(await client.start_kernel(), code)

    async def start_ready(self, **changes: Any) -> Handle:
        """Start a session and wait until it is ready."""
        handle = await self.engine.start(self.spec(**changes))
        async with asyncio.timeout(PATIENCE):
            while (seen := await self.engine.observe(handle)).phase is not Phase.READY:
                assert seen.phase is not Phase.ENDED, (seen, await self.engine.tail(handle, lines=40))
                await asyncio.sleep(0.05)
        return handle

    async def wait_end(self, handle: Handle) -> Any:
        """Wait until a session has ended; returns how."""
        seen = await settle(self.engine, handle, Phase.ENDED, seconds=PATIENCE)
        assert seen.exit is not None
        return seen.exit
