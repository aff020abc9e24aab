"""The real control plane on a real port, with an engine that runs no processes."""

import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from structlog.testing import capture_logs

from studiolo.server import operator
from studiolo.server.app import create_app
from studiolo.server.schema import check_schema
from studiolo.server.services import build
from studiolo.server.settings import Settings
from studiolo.testing.fake_engine import FakeEngine


@dataclass(frozen=True)
class ControlPlane:
    """A running control plane: its address, the administrator's key and name, the engine to give orders to."""

    url: str
    key: str
    person: str
    engine: FakeEngine


@contextmanager
def control_plane(folder: Path, *further: FakeEngine) -> Iterator[ControlPlane]:
    """Run a control plane in a thread; ends it and waits for its end. `further`: engines beside the local one."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield from _serve(folder, listener, further)


def _serve(folder: Path, listener: socket.socket, further: Sequence[FakeEngine]) -> Iterator[ControlPlane]:
    port = listener.getsockname()[1]
    settings = Settings(data_dir=folder / "data", port=port, run_dir=folder / "run")
    settings.data_dir.mkdir()
    check_schema(settings)
    operator.first_start(settings)
    person, key = operator.create_local_key(settings)
    engine = FakeEngine()

    base = settings.data_dir / "environments" / "base-test"

    async def build_base(progress: Callable[[str], None]) -> Path:
        (base / "bin").mkdir(parents=True, exist_ok=True)
        (base / "pyvenv.cfg").touch()
        return base

    app = create_app(
        build(settings, engines={"local": engine} | {one.name: one for one in further}, build_base=build_base)
    )
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False, timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        # The log must not mix with what the commands print.
        with capture_logs():
            yield ControlPlane(f"http://127.0.0.1:{port}", key, person, engine)
    finally:
        server.should_exit = True
        thread.join()
