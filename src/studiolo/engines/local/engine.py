"""The local engine: sessions as processes of this machine, each under its own shim."""

import asyncio
import contextlib
import os
import shutil
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from studiolo.contract.errors import Unavailable
from studiolo.engines import logs
from studiolo.engines.base import AskWanted, Exit, Handle, Machine, Observation, Phase, Storage, Usage, WorkloadSpec
from studiolo.engines.launch_files import Places, last_death, make_request
from studiolo.engines.local.accounts import find_account, make_ready, with_account
from studiolo.engines.local.enclosing import Enclosing
from studiolo.engines.local.gpus import GPUs
from studiolo.engines.local.launches import Launch
from studiolo.engines.local.measuring import Measuring
from studiolo.engines.local.starting import Starter, StartMethod
from studiolo.engines.tools import offer_tools
from studiolo.runtime.launch import OWN, LaunchFiles, LaunchRequest

_READY_POLL_SECONDS = 0.1
_EXIT_POLL_SECONDS = 0.5
_DEATH_POLL_SECONDS = 2.0


class LocalEngine:
    """Runs each workload as a forked (or spawned) JupyterLab. Implements Engine and all capabilities.

    What it knows of a launch lies in `data_dir/sessions/<id>/<launch>`; the handle only names it. Sockets lie
    in `session_sockets`. `start_method` is as in the settings; `stop_grace` is for stops nobody timed;
    `gpus`: those of the machine that may be used, left out all. With `accounts` each workspace has a number of its own
    (decision 012), under which its sessions run; with `enclosing` each launch has an enclosure (decision 016).

    `isolation` is L1 with accounts; in enclosures L3, where the machine holds launches to their limits.
    """

    name = "local"
    storage: Storage = "shared"
    runs_images = False

    def __init__(
        self,
        *,
        data_dir: Path,
        session_sockets: Path,
        fork_server_socket: Path,
        start_method: StartMethod = "auto",
        stop_grace: timedelta = timedelta(seconds=10),
        gpus: GPUs | None = None,
        accounts: bool = False,
        enclosing: Enclosing | None = None,
    ) -> None:
        self.isolation = "L1" if accounts else "L0"
        self._needs_account = accounts
        self._enclosing = enclosing
        self._data_dir = data_dir
        self._sessions = data_dir / "sessions"
        self._sockets = session_sockets
        self._stop_grace = stop_grace
        self._starter = Starter(fork_server_socket, start_method)
        self._measuring = Measuring(data_dir, gpus or GPUs())
        if enclosing is not None and self._measuring.try_limits():
            self.isolation = "L3"

    async def start(self, spec: WorkloadSpec) -> Handle:
        """See Engine.start. A launch number is used once: an ended launch is found, not run again."""
        try:
            request = self._request(spec, await self._measuring.find_places())
            if request.account:
                await asyncio.to_thread(make_ready, request)
        except OSError as exc:
            raise Unavailable(
                "engine-unavailable",
                "The session's folders cannot be made, so it cannot be started now.",
                hint="See that the disk is not full and the data directory can be written.",
                detail=str(exc),
            ) from exc
        started = await self._starter.launch(request)
        known = {name: started.get(name) for name in ("pid", "start_time", "boot_id")}
        return {"workload_id": spec.workload_id, "launch": spec.launch, **known}

    async def observe(self, handle: Handle) -> Observation:
        """See Engine.observe."""
        launch = self._launch(handle["workload_id"], handle["launch"])
        try:
            if not self._sessions.is_dir():
                return Observation(Phase.UNKNOWN, message="The folder of the sessions is out of reach.")
            seen = launch.observe()
            if seen is None:
                await asyncio.to_thread(launch.bury)
                seen = launch.observe()
        except OSError as exc:
            return Observation(Phase.UNKNOWN, message=f"The session's files cannot be read: {exc.strerror}.")
        return seen or Observation(Phase.ENDED, exit=_never_was())

    async def stop(self, handle: Handle, *, grace: timedelta) -> None:
        """See Engine.stop. Asked again long after its grace, all of the launch is killed from outside."""
        await self._stop(self._launch(handle["workload_id"], handle["launch"]), grace)

    async def watch(self, handle: Handle) -> AsyncIterator[None]:
        """See Watches.watch."""
        launch = self._launch(handle["workload_id"], handle["launch"])
        events = self._starter.find_events(launch.name)
        if events is None:
            async for _ in _watch_from_outside(launch):
                yield
            return
        seen = 0
        while True:
            await events.wait_beyond(seen)
            seen, is_last = events.count, events.closed
            yield
            if is_last:
                return

    async def tail(self, handle: Handle, *, lines: int) -> list[str]:
        """See Logs.tail. At most the last half mebibyte."""
        launch = self._launch(handle["workload_id"], handle["launch"])
        return await asyncio.to_thread(logs.tail, launch.files.log, lines)

    def follow(self, handle: Handle, *, lines: int) -> AsyncIterator[str]:
        """See Logs.follow."""
        launch = self._launch(handle["workload_id"], handle["launch"])
        return logs.follow(launch.files.log, lines=lines, is_running=launch.is_held)

    async def measure(self, handle: Handle) -> Usage | None:
        """See Measures.measure. Control groups are read at once; the process table, without them, in a thread."""
        return await self._measuring.measure(self._launch(handle["workload_id"], handle["launch"]))

    async def describe(self) -> Machine:
        """See Measures.describe."""
        return await self._measuring.describe()

    async def find_places(self) -> Mapping[str, Path]:
        """Return for each usable controller where control groups are made, for what runs beside the sessions."""
        return await self._measuring.find_places()

    def enclose(self, folder: Path, environment: Path, variables: Mapping[str, str], **more: Any) -> Mapping[str, Any]:
        """Return the enclosure of what runs beside the sessions, see Enclosing.of; empty where there are none."""
        if self._enclosing is None:
            return {}
        home = Path(variables["JUPYTER_CONFIG_DIR"]).parent
        return self._enclosing.of(folder=folder, environment=environment, variables=variables, home=home, **more)

    async def sweep(self, ask_wanted: AskWanted) -> list[str]:
        """See Sweeps.sweep. Names are `<workload id>.<launch>`."""
        swept = []
        unfinished = await asyncio.to_thread(self._list_unfinished)
        wanted = await ask_wanted() if unfinished else set()
        for launch in (launch for key, launch in unfinished.items() if key not in wanted):
            await self._stop(launch, self._stop_grace)
            swept.append(launch.name)
        return swept

    async def forget(self, workload_id: str) -> None:
        """See Forgets.forget."""
        await asyncio.to_thread(shutil.rmtree, self._sessions / workload_id, ignore_errors=True)

    async def aclose(self) -> None:
        """Let go of all connections; sessions go on."""
        await self._starter.aclose()
        await self._measuring.aclose()

    async def _stop(self, launch: Launch, grace: timedelta) -> None:
        try:
            seen = launch.observe()
            if seen is None:
                await asyncio.to_thread(launch.bury)
            elif seen.phase is not Phase.ENDED and not launch.ask_to_stop(grace.total_seconds()):
                await asyncio.to_thread(launch.kill)
        except OSError as exc:
            raise Unavailable(
                "engine-unavailable",
                "The session cannot be stopped now: its files cannot be reached.",
                hint="See that the disk is not full and the data directory can be written.",
                detail=str(exc),
            ) from exc

    def _request(self, spec: WorkloadSpec, places: Mapping[str, Path]) -> LaunchRequest:
        account = find_account(spec.folder, is_needed=self._needs_account)
        launch = self._launch(spec.workload_id, spec.launch)
        launch.files.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._sockets.mkdir(mode=0o700, parents=True, exist_ok=True)
        own = Places(
            files=launch.files,
            run_folder=launch.files.folder / OWN if account else launch.run_folder,
            socket=launch.socket,
            private_folder=launch.files.folder.parent / "jupyter",
            tools=offer_tools(self._data_dir),
        )
        request = make_request(spec, own, grace=self._stop_grace, machine=os.environ, groups=places)
        request = with_account(request, account, launch.run_folder)
        if not account:
            return request
        written = [Path(file).parent for file in request.tool_files]
        seen = self.enclose(
            spec.folder,
            spec.environment,
            request.variables,
            datasets=spec.datasets.values(),
            writable=[launch.files.folder / OWN, launch.files.log, *written],
            memory=spec.limits.memory,
        )
        return replace(request, enclosure=seen)

    def _launch(self, workload_id: str, number: int) -> Launch:
        name = f"{workload_id}.{number}"
        return Launch(name, LaunchFiles(self._sessions / workload_id / str(number)), self._sockets)

    def _list_unfinished(self) -> dict[tuple[str, int], Launch]:
        found = {}
        for lock in self._sessions.glob("*/*/lock"):
            workload_id, number = lock.parent.parent.name, lock.parent.name
            if number.isdigit():
                launch = self._launch(workload_id, int(number))
                if not launch.files.exit.exists():
                    found[workload_id, int(number)] = launch
        return found


async def _watch_from_outside(launch: Launch) -> AsyncIterator[None]:
    """Watch a launch that another process started: its shim by pidfd, its readiness by its file."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    descriptor = launch.open_pidfd()
    if descriptor is not None:
        loop.add_reader(descriptor, ended.set)
    was_ready, deaths = False, last_death(launch.files)
    try:
        while launch.is_held() and not ended.is_set():
            if not was_ready and launch.files.ready.exists():
                was_ready = True
                yield
            if deaths != (deaths := last_death(launch.files)):
                yield
            pause = _EXIT_POLL_SECONDS if descriptor is None else _DEATH_POLL_SECONDS
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause if was_ready else _READY_POLL_SECONDS):
                    await ended.wait()
        yield
    finally:
        if descriptor is not None:
            loop.remove_reader(descriptor)
            os.close(descriptor)


def _never_was() -> Exit:
    return Exit("vanished", "Nothing is known of this launch on this machine.", datetime.now(UTC))
