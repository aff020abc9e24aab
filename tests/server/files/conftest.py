"""A real front door, control plane and file host on real sockets, in one process but for Caddy."""

import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from server.conftest import People
from studiolo.contract.models import KeyCreate, Workspace, WorkspaceCreate
from studiolo.files.host.serving import serving as serving_files
from studiolo.kit.shared_secret import load_shared_secret
from studiolo.server.app import create_app
from studiolo.server.principal import Principal
from studiolo.server.services import Services
from studiolo.server.settings import Settings
from studiolo.testing.ports import free_port
from supervisor.front_door import caddy, serving


@pytest.fixture
def settings() -> Iterator[Settings]:
    # The paths of sockets must be short.
    folder = Path(tempfile.mkdtemp(prefix="st-", dir="/tmp"))
    (folder / "run").mkdir(mode=0o700)
    yield Settings(data_dir=folder / "data", port=free_port(), run_dir=folder / "run")
    shutil.rmtree(folder)


@dataclass
class Stage:
    """The running parts, a workspace of Ana's, its folder, and clients that come through the front door."""

    services: Services
    people: People
    workspace: Workspace
    folder: Path
    ana: httpx.AsyncClient
    owner: Principal
    client_of: Callable[[Principal], Awaitable[httpx.AsyncClient]]

    @property
    def files(self) -> str:
        return f"/files/{self.workspace.id}"

    @property
    def api(self) -> str:
        return f"/api/v1/jupyter/workspaces/{self.workspace.id}/files"

    async def actions(self) -> list[str]:
        """What was recorded about files, oldest first."""
        page = await self.services.workspaces.activity(self.owner, self.workspace.id, limit=100)
        return [event.action for event in reversed(page.items) if event.action.startswith("file.")]


@pytest.fixture
async def stage(services: Services, people: People, settings: Settings) -> AsyncIterator[Stage]:
    secret = load_shared_secret(settings.files_key_file)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(serving(create_app(services), settings.control_socket))  # type: ignore[arg-type]
        cache = settings.data_dir / "cache"
        files = serving_files(settings.files_socket, settings.control_socket, cache, secret)
        await stack.enter_async_context(files)
        await stack.enter_async_context(caddy(settings))

        async def client_of(who: Principal) -> httpx.AsyncClient:
            key = (await services.keys.create_key(who, KeyCreate(name="test"))).key
            headers = {"Authorization": f"Bearer {key}", "Host": f"localhost:{settings.port}"}
            address = f"http://127.0.0.1:{settings.port}"
            client = httpx.AsyncClient(base_url=address, headers=headers, timeout=60, trust_env=False)
            return await stack.enter_async_context(client)

        ana = await people.add("ana")
        workspace = await services.workspaces.create(ana, WorkspaceCreate(name="churn"))
        client = await client_of(ana)
        yield Stage(services, people, workspace, Path(workspace.path), client, ana, client_of)
