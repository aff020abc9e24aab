"""A whole Studiolo of the benchmark's own: started by `studiolo up`, reached through its front door."""

import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
from _http import Client
from _processes import clean_environment, wait_until

from studiolo.testing.ports import free_port

_STUDIOLO = Path(sys.executable).with_name("studiolo")
_COMMAND_SECONDS = 300


class Platform:
    """One platform with its data in `folder`, which keeps `spares` started servers. `client` is set while it runs."""

    client: Client

    def __init__(self, folder: Path, spares: int) -> None:
        self.spares = spares
        self.port = free_port()
        self.data = folder / "data"
        self.run = folder / "run"
        self.key = ""
        self.environment = clean_environment(
            STUDIOLO_DATA_DIR=str(self.data),
            STUDIOLO_RUN_DIR=str(self.run),
            STUDIOLO_PORT=str(self.port),
            # The benchmark's one person launches more than people do.
            STUDIOLO_SESSIONS__MAX_RUNNING_PER_PERSON="1000",
            STUDIOLO_SESSIONS__SPARES=str(spares),
            XDG_CONFIG_HOME=str(folder / "config"),
        )

    def up(self) -> None:
        """Start it and wait until it serves; the first time, make an administrator's key."""
        self.command("up", "--detach")
        if not self.key:
            self.key = self.command("keys", "create", "--name", "benchmark", "--quiet").strip()
        self.client = Client(self.port, {"Authorization": f"Bearer {self.key}"})

    def down(self, *, stop_sessions: bool = False) -> None:
        """Stop it."""
        self.command("down", *(["--stop-sessions"] if stop_sessions else []))

    def command(self, *argv: str) -> str:
        """Run a command of the command line; return what it printed. Ends the benchmark if it fails."""
        done = subprocess.run(
            [_STUDIOLO, *argv], env=self.environment, capture_output=True, text=True, timeout=_COMMAND_SECONDS
        )
        if done.returncode != 0:
            raise SystemExit(f"error: studiolo {' '.join(argv)} failed.\n\n{done.stdout}{done.stderr}")
        return done.stdout

    def process_of(self, part: str) -> int:
        """Return the pid of `front-door`, `control-plane` or `fork-server`."""
        return int(json.loads((self.data / "processes.json").read_text())[part]["pid"])

    def make_workspace(self, name: str) -> str:
        """Create a workspace, wait for its environment, return its id."""
        made = self.client.ask("POST", "/api/v1/jupyter/workspaces", {"name": name}).json
        path = f"/api/v1/jupyter/workspaces/{made['id']}"

        def is_ready() -> bool:
            return bool(self.client.ask("GET", path).json["environment"]["state"] == "ready")

        wait_until(is_ready, f"the environment of {name}", seconds=300)
        return str(made["id"])

    def await_spares(self) -> list[int]:
        """Wait until the pool is full; return the pids of its shims."""
        found: list[int] = []

        def is_full() -> bool:
            children = psutil.Process(self.process_of("fork-server")).children()
            found[:] = [child.pid for child in children if child.name() == "studiolo-spare"]
            return len(found) == self.spares

        wait_until(is_full, f"a pool of {self.spares} spares")
        return found

    def launch(self, workspace: str) -> str:
        """Launch a session and return its id at once."""
        return str(self.client.ask("POST", "/api/v1/jupyter/sessions", {"workspace": workspace}).json["id"])

    def enter(self, session: str) -> None:
        """Load the session's JupyterLab; the front door holds the request until it is ready."""
        reply = self.client.ask("GET", f"/s/{session}/lab")
        if reply.status != 200:
            raise SystemExit(f"error: /s/{session}/lab was answered {reply.status}: {reply.body[:500]!r}")

    def stop(self, session: str) -> None:
        """Stop a session and wait until all of it has ended."""
        path = f"/api/v1/jupyter/sessions/{session}/stop?wait=30"
        state = self.client.ask("POST", path).json["state"]
        if state != "stopped":
            raise SystemExit(f"error: session {session} is {state} after its stop.")

    def shim_of(self, session: str) -> int:
        """Return the pid of a running session's shim."""
        (file,) = (self.data / "sessions" / session).glob("*/shim.json")
        return int(json.loads(file.read_text())["pid"])


@contextlib.contextmanager
def studiolo(*, spares: int = 2) -> Iterator[Platform]:
    """Run a platform for the length of a block; then stop all of it and remove its data."""
    # Sockets have short paths: not below a long TMPDIR.
    folder = Path(tempfile.mkdtemp(prefix="studiolo-bench-", dir="/tmp"))
    platform = Platform(folder, spares)
    try:
        platform.up()
        yield platform
    finally:
        platform.down(stop_sessions=True)
        shutil.rmtree(folder, ignore_errors=True)
