"""A real control plane on a loopback port, with a scripted engine and sample people; for tests and for looking.

`PYTHONPATH=tests python tests/web/stage.py 28123` keeps one running until Ctrl-C and prints the address.
"""

import asyncio
import contextlib
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import uvicorn

from studiolo.contract.details import DeviceStart
from studiolo.contract.models import (
    Activity,
    EnvironmentState,
    KeyCreate,
    MemberSet,
    PersonCreate,
    Session,
    SessionLaunch,
    SessionState,
    WorkspaceCreate,
)
from studiolo.contract.operations import Role
from studiolo.contract.people import Grant, InvitationCreate
from studiolo.engines.base import GPU, Death, Exit, Machine, Phase
from studiolo.server.app import create_app
from studiolo.server.principal import OPERATOR, Principal
from studiolo.server.schema import check_schema
from studiolo.server.services import Services, build
from studiolo.server.settings import Settings
from studiolo.server.settings.sessions import SessionSettings
from studiolo.testing.fake_engine import FakeEngine
from studiolo.testing.ports import free_port
from web.sample_builds import add_builds
from web.sample_kernels import add_samples
from web.sample_requests import add_requests
from web.sample_scans import add_scan

PASSWORD = "a long enough password"
Result = TypeVar("Result")
_GIB = 1024**3
_LOG = (
    "[I 2026-11-21 05:12:01.204 ServerApp] jupyterlab | extension was successfully loaded.",
    "[I 2026-11-21 05:12:01.207 ServerApp] Serving notebooks from local directory: /workspace",
    "[W 2026-11-21 05:12:01.388 ServerApp] Could not import jupyter_contrib: No module named 'jupyter_contrib'",
    "[C 2026-11-21 05:12:01.390 ServerApp] Bad config encountered during initialization: the 'port' trait expected an int",
)


class ShiftedClock:
    """The machine's clock, set back by `behind`, so that samples have a past."""

    def __init__(self) -> None:
        self.behind = timedelta(0)

    def now(self) -> datetime:
        return datetime.now(UTC) - self.behind

    def running(self) -> timedelta:
        return timedelta(seconds=time.monotonic())


class Stage:
    """Runs in a thread with an event loop of its own; `do` runs something on it and returns the result."""

    def __init__(self, folder: Path, port: int | None = None, **settings: Any) -> None:
        self.port = port or free_port()
        self.address = f"http://localhost:{self.port}"
        self.clock = ShiftedClock()
        self.engine = FakeEngine()
        cards = tuple(GPU(f"GPU-5a3e7d5{n}-2c5f-0f0e-8b7c-3f1d0a9e4b11", "a100", memory=40 * _GIB) for n in (1, 2))
        self.engine.machine = Machine(16, 64 * _GIB, 2, "cgroup-v2", "cgroup-v2", "cgroup-v2", gpus=cards)
        # A sample that starts goes on starting, however long the tests take.
        patient = SessionSettings(start_timeout=timedelta(hours=1))
        self.settings = Settings(
            data_dir=folder / "data", port=self.port, run_dir=folder / "run", **({"sessions": patient} | settings)
        )
        self.services = self._build()
        # Closed on the loop when the stage ends.
        self.stack = contextlib.AsyncExitStack()
        self._loop = asyncio.new_event_loop()
        self._server = uvicorn.Server(
            uvicorn.Config(create_app(self.services), port=self.port, log_level="error", timeout_graceful_shutdown=1)
        )
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _build(self) -> Services:
        base = self.settings.data_dir / "environments" / "base-test"

        async def build_base(progress: Callable[[str], None]) -> Path:
            (base / "bin").mkdir(parents=True, exist_ok=True)
            (base / "pyvenv.cfg").touch()
            progress("a base without packages")
            return base

        self.settings.data_dir.mkdir(parents=True)
        check_schema(self.settings)
        return build(self.settings, engines={"local": self.engine}, clock=self.clock, build_base=build_base)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._server.serve())

    def __enter__(self) -> "Stage":
        self._thread.start()
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return self
            threading.Event().wait(0.05)
        raise TimeoutError("the stage did not start")

    def __exit__(self, *_: object) -> None:
        self.do(self.stack.aclose())
        self._server.should_exit = True
        self._thread.join(10)
        self._loop.close()

    def do(self, action: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(action, self._loop).result(60)

    async def go_away(self) -> None:
        """Refuse new connections and close the open ones, as a control plane that restarts."""
        for server in self._server.servers:
            server.close()
        for connection in list(self._server.server_state.connections):
            connection.transport.abort()  # type: ignore[union-attr]

    async def come_back(self) -> None:
        """Listen again."""
        config, state = self._server.config, self._server.server_state

        def protocol() -> asyncio.Protocol:
            return config.http_protocol_class(config=config, server_state=state, app_state={})  # type: ignore[return-value]

        self._server.servers = [await self._loop.create_server(protocol, "127.0.0.1", self.port)]

    # Sample people and what they have

    async def add(self, name: str, display_name: str, *, is_admin: bool = False) -> Principal:
        accounts = self.services.accounts
        form = PersonCreate(name=name, display_name=display_name, email=f"{name}@example.com", is_admin=is_admin)
        link = await accounts.create_person(OPERATOR, form)
        await accounts.set_password(OPERATOR, name, PASSWORD)
        return Principal(link.person.id, name, display_name, is_admin, via="login", login_id="l-0")

    async def workspace(self, who: Principal, name: str, description: str = "") -> str:
        made = await self.services.workspaces.create(who, WorkspaceCreate(name=name, description=description))

        async def is_ready() -> bool:
            found = await self.services.workspaces.get(who, made.id)
            return found.environment.state is EnvironmentState.READY

        await eventually(is_ready)
        return made.id

    async def session(
        self, who: Principal, workspace: str, name: str | None = None, *, until: SessionState, **more: Any
    ) -> Session:
        sessions = self.services.sessions
        self.engine.behaviour.becomes_ready = until is not SessionState.STARTING
        made = await sessions.launch(who, SessionLaunch(workspace=workspace, name=name, **more))
        if until is SessionState.STARTING:

            async def is_begun() -> bool:
                return (await sessions.get(who, made.id)).started_at is not None

            await eventually(is_begun)
            self.engine.workloads[(made.id, 1)].log.extend(_LOG[:2])
        else:
            await sessions.get(who, made.id, wait_seconds=10)
        if until is SessionState.STOPPED:
            await sessions.stop(who, made.id)
        if until is SessionState.FAILED:
            self.engine.workloads[(made.id, 1)].log.extend(_LOG)
            self.engine.crash({"workload_id": made.id, "launch": 1})
        if until in (SessionState.STOPPED, SessionState.FAILED):

            async def is_over() -> bool:
                return (await sessions.get(who, made.id)).state is until

            await eventually(is_over)
        self.engine.behaviour.becomes_ready = True
        return await sessions.get(who, made.id)

    async def report(self, session: Session, notebook: str, *, busy: int = 0, kernels: int = 1) -> None:
        now = self.clock.now()
        report = Activity(
            reported_at=now,
            kernels=kernels,
            busy_kernels=busy,
            terminals=0,
            busy_terminals=0,
            connections=1,
            last_active_at=now,
            notebook=notebook,
        )
        own = Principal(
            session.person.id, "", "", False, "key", session_id=session.id, workspace_id=session.workspace.id
        )
        await self.services.session_reports.report(own, session.id, report)

    async def measure_an_hour(self, *sessions: Session) -> None:
        """Give sessions an hour of samples, a minute apart: memory and processors go up and down, and up in all."""
        cpu_seconds = 0.0
        for minute in range(58, -1, -1):
            self.clock.behind = timedelta(minutes=minute)
            cpu_seconds += 60 * (0.4 + 2.4 * ((minute // 7) % 2))
            memory = int(_GIB * (9.5 - minute / 9 + 0.8 * ((minute // 5) % 2)))
            for session in sessions:
                limit = session.resources.memory or memory
                self.engine.use(
                    {"workload_id": session.id, "launch": 1},
                    at=self.clock.now(),
                    cpu_seconds=cpu_seconds,
                    memory=min(memory, limit),
                    memory_peak=min(memory + _GIB, limit),
                    processes=14,
                )
            await self.services.sampler.sample()

    async def run_out_of_memory(self, session: Session) -> None:
        """End a session whose server ran out of memory."""
        workload = self.engine.workloads[(session.id, 1)]
        message = "The session ran out of memory: it used 2 GiB of 2 GiB."
        workload.exit = Exit("out-of-memory", message, self.clock.now(), memory_peak=2 * _GIB, memory_limit=2 * _GIB)
        workload.phase = Phase.ENDED
        workload.changes += 1
        workload.news.set()

        async def is_over() -> bool:
            return (await self.services.sessions.get(OPERATOR, session.id)).ended_at is not None

        await eventually(is_over)

    async def lose_a_kernel(self, session: Session) -> None:
        """Let a kernel of a running session run out of memory."""
        death = Death(self.clock.now(), "kernel", 16 * _GIB, 16 * _GIB, name="notebooks/survival-by-plan.ipynb")
        self.engine.run_out_of_memory({"workload_id": session.id, "launch": 1}, death)
        await self.services.sampler.sample()


class Samples:
    """Ana has a bit of everything, Nils nothing yet, Mia administers and has a lot."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.ids: dict[str, str] = {}

    async def fill(self) -> None:
        stage, clock = self.stage, self.stage.clock
        clock.behind = timedelta(days=12)
        mia = await stage.add("mia", "Mia Okonkwo", is_admin=True)
        ana = await stage.add("ana", "Ana Ruiz")
        leo = await stage.add("leo", "Leo Brandt")
        await stage.add("nils", "Nils Åkesson")
        clock.behind = timedelta(days=9, hours=3)
        churn = await stage.workspace(ana, "churn", "Who leaves, and when: survival models on the billing export.")
        forecasts = await stage.workspace(ana, "forecasts-2027")
        reading = await stage.workspace(leo, "reading-group", "Paper of the week, with the code that goes with it.")
        clock.behind = timedelta(days=8)
        await stage.services.members.set_member(ana, churn, MemberSet(person="leo", role=Role.EDITOR))
        await stage.services.members.set_member(ana, churn, MemberSet(person="mia", role=Role.VIEWER))
        await stage.services.members.set_member(leo, reading, MemberSet(person="ana", role=Role.VIEWER))
        clock.behind = timedelta(days=2, hours=5)
        stopped = await stage.session(ana, churn, "lab-1", until=SessionState.STOPPED)
        failed = await stage.session(ana, forecasts, "nightly", until=SessionState.FAILED)
        clock.behind = timedelta(hours=3)
        running = await stage.session(ana, churn, "lab-2", until=SessionState.RUNNING, profile="large")
        await stage.session(leo, churn, "lab-3", until=SessionState.RUNNING)
        secret = await stage.session(ana, forecasts, "guarded", until=SessionState.RUNNING, password="open")
        hungry = await stage.session(ana, churn, "hungry", until=SessionState.RUNNING, profile="small")
        await stage.measure_an_hour(running, hungry, secret)
        await stage.run_out_of_memory(hungry)
        clock.behind = timedelta(minutes=41)
        await stage.report(running, "notebooks/survival-by-plan.ipynb", busy=1, kernels=2)
        await stage.report(secret, "notebooks/read-billing-export.ipynb", busy=0)
        clock.behind = timedelta(hours=1)
        deleted = await stage.workspace(ana, "old-attempt")
        await stage.services.workspaces.delete(ana, deleted)
        clock.behind = timedelta(0)
        await stage.lose_a_kernel(running)
        starting = await stage.session(ana, forecasts, "wide", until=SessionState.STARTING)
        await stage.services.keys.create_key(ana, KeyCreate(name="laptop"))
        for number in range(64):
            form = WorkspaceCreate(name=f"study-{number:02}-{'long-' * (number % 7)}name", description="")
            study = await stage.services.workspaces.create(mia, form)
        grants = [Grant(workspace="ana/churn", role=Role.EDITOR)]
        invited = await stage.services.invitations.create(
            mia, InvitationCreate(to="noor@example.com", workspaces=grants)
        )
        device = await stage.services.devices.begin(DeviceStart(key_name="ana on gpu-node-7"), "10.4.0.17")
        self.ids = {
            "device": device.user_code,
            "invitation": invited.url.partition("invitation=")[2],
            "churn": churn,
            "forecasts": forecasts,
            "reading": reading,
            "stopped": stopped.id,
            "hungry": hungry.id,
            "failed": failed.id,
            "running": running.id,
            "secret": secret.id,
            "starting": starting.id,
            "study": study.id,
        }
        async with stage.services.db.write() as tx:
            told = "six is allowed in churn, and is being installed."
            await stage.services.notifications.tell(tx, ana.person_id, "request.approved", told, "/requests")
        self.ids |= await add_requests(stage.services, ana, leo, churn)
        self.ids |= await add_scan(stage.services, ana, churn)
        await add_builds(stage.services, ana, leo, churn)
        self.ids |= await add_samples(stage.services, stage.stack, ana, mia, self.ids)


async def eventually(check: Callable[[], Awaitable[bool]], seconds: float = 60) -> None:
    """Wait until `check` holds."""
    async with asyncio.timeout(seconds):
        while not await check():
            await asyncio.sleep(0.01)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name, Stage(Path(name), int(sys.argv[1])) as stage:
        samples = Samples(stage)
        stage.do(samples.fill())
        print(stage.address, samples.ids, flush=True)
        threading.Event().wait()
