import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from studiolo.server.settings import Settings, load_settings
from studiolo.testing.ports import free_port
from supervisor.front_door import Seen, StandIn, caddy, serving


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A private folder whose path is short enough for sockets."""
    folder = Path(tempfile.mkdtemp(prefix="st-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def make_settings(short_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Settings]:
    monkeypatch.delenv("STUDIOLO_CONFIG", raising=False)
    run_dir, data_dir = short_folder / "run", short_folder / "data"
    run_dir.mkdir(mode=0o700)
    data_dir.mkdir(mode=0o700)

    def make(**flags: Any) -> Settings:
        return load_settings(**{"data_dir": data_dir, "run_dir": run_dir, "port": free_port(), **flags})

    return make


@dataclass
class Door:
    """A running front door, what stands behind it, and a client."""

    settings: Settings
    control: StandIn
    session: StandIn
    session_socket: Path
    http: httpx.AsyncClient

    @property
    def questions(self) -> list[Seen]:
        return [seen for seen in self.control.seen if seen.path == "/_door"]

    def allow(self, **more: str) -> None:
        """Let the control plane answer questions with the session's socket."""
        headers = {"x-studiolo-upstream": f"unix/{self.session_socket}", "x-studiolo-secret": "of-launch", **more}

        def answer(seen: Seen) -> tuple[int, dict[str, str], bytes]:
            return (200, headers, b"") if seen.path == "/_door" else (200, {}, b'{"by": "control"}')

        self.control.answer = answer


@pytest.fixture
async def door(make_settings: Callable[..., Settings]) -> AsyncIterator[Door]:
    settings = make_settings()
    control, session = StandIn("control"), StandIn("session")
    session_socket = settings.runtime_dir / "session.sock"
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(serving(control, settings.control_socket))
        await stack.enter_async_context(serving(session, session_socket))
        await stack.enter_async_context(caddy(settings))
        http = await stack.enter_async_context(
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{settings.port}", timeout=20, trust_env=False)
        )
        http.headers["host"] = f"localhost:{settings.port}"
        running = Door(settings, control, session, session_socket, http)
        running.allow()
        yield running
