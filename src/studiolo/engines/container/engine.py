"""The container engine: each session in a container of its own, reached by a unix socket that we share with it."""

import asyncio
import contextlib
import logging
import re
import shutil
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from typing import Any, Literal

import studiolo
from studiolo.contract.errors import Unavailable
from studiolo.engines import logs
from studiolo.engines.base import AskWanted, Exit, Handle, Machine, Observation, Phase, Storage, Usage, WorkloadSpec
from studiolo.engines.container.building import Building
from studiolo.engines.container.claiming import can_mount
from studiolo.engines.container.configuration import INSTANCE, Host, container_name, read_name
from studiolo.engines.container.daemon import Daemon
from studiolo.engines.container.endings import explain, never_was, no_gpu, stopped_in_time
from studiolo.engines.container.gpus import Gpus
from studiolo.engines.container.launches import Launch
from studiolo.engines.container.launching import Launching
from studiolo.engines.container.measuring import Facts, read_usage
from studiolo.engines.container.pool import Pool
from studiolo.engines.container.preparing import Preparing, no_folders
from studiolo.engines.container.settings import ContainerOptions, ContainerSettings
from studiolo.engines.container.waiting import LaunchedKinds
from studiolo.engines.launch_files import list_deaths, read_exit
from studiolo.engines.plugins import EngineGround, read_options
from studiolo.kit.files import write_atomically
from studiolo.runtime.acting import owner_of

_READY_POLL_SECONDS = 0.1
_FILES_POLL_SECONDS = 1.0
_ASK_AGAIN_SECONDS = 1.0
# Beyond its grace a shim takes at most seven seconds to end what is left; then something holds it.
_OVERDUE_SECONDS = 10.0
# Memory is held for as many; those launched last.
_WARM_KINDS = 3
_ALIVE = {"running", "paused", "restarting", "stopping"}
_log = logging.getLogger(__name__)


class ContainerEngine:
    """Runs each workload in a container of Podman or Docker. Implements Engine and all capabilities but Fronts.

    `isolation` is L1 until the daemon has said that it holds containers to limits, and stays so where it does not; then
    L2 on a network, L3 without one: nothing but the platform is reached.

    What it keeps of a launch lies in `data_dir/engines/container/<id>/<launch>`; the handle only names it.
    """

    name = "container"
    storage: Storage = "shared"
    runs_images = True
    attaches: Literal["path", "claim"] = "path"
    hosts_kernels = True

    def __init__(self, on: EngineGround, settings: ContainerSettings) -> None:
        self._on = on
        self._settings = settings
        # Names of containers take few characters.
        self._instance = re.sub(r"[^a-zA-Z0-9_.-]", "-", on.instance)
        self._daemon = Daemon(settings.url, settings.call_seconds)
        self._preparing = Preparing(on, settings)
        self.images = Building(
            self._daemon, settings, scratch=on.data_dir / "engines" / self.name, platform=self._instance
        )
        self.pool = self._make_pool()
        self._launching = Launching(self._daemon, self.pool)
        self._gpus = Gpus(settings.gpus)
        self.isolation = "L1"
        self._facts: Facts | None = None
        self._starting: dict[str, asyncio.Task[Handle]] = {}
        self._stopping: dict[str, asyncio.Task[None]] = {}

    async def start(self, spec: WorkloadSpec) -> Handle:
        """See Engine.start. Raises InvalidInput for an image, an option or a GPU type that is not to be had."""
        launch = self._launch(spec.workload_id, spec.launch)
        task = self._starting.get(launch.name)
        if task is None:
            task = self._starting[launch.name] = asyncio.create_task(self._start(spec, launch))
            task.add_done_callback(lambda _: self._starting.pop(launch.name, None))
        # Whoever gives up waiting must not leave a container half made to whoever else waits.
        return await asyncio.shield(task)

    async def observe(self, handle: Handle) -> Observation:
        """See Engine.observe."""
        launch = self._launch(handle["workload_id"], handle["launch"])
        try:
            return await self._observe(launch)
        except Unavailable as exc:
            return Observation(Phase.UNKNOWN, message=exc.message)
        except OSError as exc:
            return Observation(Phase.UNKNOWN, message=f"The session's files cannot be read: {exc.strerror}.")

    async def stop(self, handle: Handle, *, grace: timedelta) -> None:
        """See Engine.stop."""
        launch = self._launch(handle["workload_id"], handle["launch"])
        if (beginning := self._starting.get(launch.name)) is not None:
            await asyncio.wait([beginning])
        if not launch.is_known or launch.read_end() is not None:
            return
        try:
            launch.note_stop(grace.total_seconds())
            await self._launching.cancel(launch)
            await self._stop(launch, grace)
        except OSError as exc:
            raise no_folders("stopped", exc) from exc

    async def watch(self, handle: Handle) -> AsyncIterator[None]:
        """See Watches.watch. The daemon tells of the end; what the session tells by files is looked at."""
        launch = self._launch(handle["workload_id"], handle["launch"])
        with self._daemon.listen(self._name(launch)) as news:
            mark = launch.mark()
            while True:
                is_over = (await self.observe(handle)).phase is Phase.ENDED
                yield
                if is_over:
                    return
                while not news.is_set() and mark == (mark := launch.mark()):
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(_FILES_POLL_SECONDS if launch.was_ready else _READY_POLL_SECONDS):
                            await news.wait()
                news.clear()

    async def tail(self, handle: Handle, *, lines: int) -> list[str]:
        """See Logs.tail. At most the last half mebibyte."""
        launch = self._launch(handle["workload_id"], handle["launch"])
        return await asyncio.to_thread(logs.tail, launch.files.log, lines)

    def follow(self, handle: Handle, *, lines: int) -> AsyncIterator[str]:
        """See Logs.follow."""
        launch = self._launch(handle["workload_id"], handle["launch"])

        def is_running() -> bool:
            return launch.is_known and launch.read_end() is None

        return logs.follow(launch.files.log, lines=lines, is_running=is_running)

    async def measure(self, handle: Handle) -> Usage | None:
        """See Measures.measure."""
        launch = self._launch(handle["workload_id"], handle["launch"])
        if not launch.is_known or launch.read_end() is not None:
            return None
        stats = await self._daemon.read_stats(self._name(launch))
        return read_usage(stats, tuple(list_deaths(launch.files))) if stats else None

    async def describe(self) -> Machine:
        """See Measures.describe. Raises Unavailable (`engine-unavailable`)."""
        return (await self._read_facts()).machine(self._gpus.count)

    async def sweep(self, ask_wanted: AskWanted) -> list[str]:
        """See Sweeps.sweep. Names are those of the containers. Raises Unavailable (`engine-unavailable`)."""
        listed = await self._daemon.list_labelled(f"{INSTANCE}={self._instance}")
        await self.pool.sweep(listed)
        wanted = await ask_wanted() if listed else set()
        swept = []
        for found in listed:
            key = read_name(self._instance, found)
            if key is None or key in wanted:
                continue
            launch = self._launch(*key)
            if found.get("State") in _ALIVE:
                swept.append(self._name(launch))
            if launch.is_known:
                await self.stop(launch.handle, grace=timedelta(seconds=self._on.stop_grace))
            if launch.read_end() is not None or not launch.is_known:
                # Nothing is left to be told of it.
                await self._daemon.remove(self._name(launch))
        return swept

    async def forget(self, workload_id: str) -> None:
        """See Forgets.forget."""
        base = self._launch(workload_id, 0).base / workload_id
        for number in (folder.name for folder in base.glob("*") if folder.name.isdigit()):
            launch = self._launch(workload_id, int(number))
            if launch.read_end() is None:
                with contextlib.suppress(Unavailable):
                    await self._daemon.remove(self._name(launch))
            launch.clear_up()
        await asyncio.to_thread(shutil.rmtree, base, ignore_errors=True)

    async def aclose(self) -> None:
        """See Closes.aclose."""
        tasks = [*self._starting.values(), *self._stopping.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._launching.aclose()
        await self.pool.aclose()
        await self._daemon.aclose()

    def _make_pool(self) -> Pool:
        if self._settings.warm and not can_mount():
            _log.warning("no containers are kept warm: the platform does not run as root")
        # What was made under other settings, or by another version, is of no use.
        mark = f"{studiolo.__version__} {self._on.address} {self._settings.model_dump_json()}"
        kept = self._on.data_dir / "engines" / self.name / "waiting.json"
        return Pool(
            self._daemon,
            self._settings.warm if can_mount() else 0,
            LaunchedKinds(kept, mark, _WARM_KINDS),
            folder=self._on.sockets / "waiting",
            instance=self._instance,
            common=self._preparing.common,
        )

    async def _start(self, spec: WorkloadSpec, launch: Launch) -> Handle:
        if not launch.is_known:
            await self._plan(spec, launch)
        if (plan := launch.read_plan()) is not None and launch.read_end() is None:
            begun = self._launching.go_on(launch, self._name(launch))
            # A pull takes its time; observing tells how far it is.
            if not plan["pull"]:
                await asyncio.shield(begun)
        return launch.handle

    async def _plan(self, spec: WorkloadSpec, launch: Launch) -> None:
        options = read_options(self.name, ContainerOptions, spec.options)
        image, is_made_here = await self._choose_image(spec, options)
        self._gpus.check(spec.limits)
        facts = self._facts or await self._read_facts()
        owner = owner_of(spec.folder) or self._preparing.owner
        host = Host(self._instance, owner, is_podman=facts.is_podman, is_rootless=facts.is_rootless)
        pull = not is_made_here and (
            self._settings.pull == "always"
            or (self._settings.pull == "missing" and not await self._daemon.has_image(image))
        )
        listed = await self._daemon.list_labelled(f"{INSTANCE}={self._instance}") if spec.limits.gpu else []
        gpus = self._gpus.lease(spec.limits, launch.name, listed)
        if gpus is None:
            launch.make_folders()
            launch.keep_end(no_gpu(spec.limits))
            return
        config = await self._preparing.prepare(spec, launch, host, options, image=image, gpus=gpus)
        launch.write_plan(image, config, pull=pull)

    async def _read_facts(self) -> Facts:
        self._facts = await self._daemon.read_facts()
        if self._facts.holds_limits:
            self.isolation = "L3" if self._settings.network == "none" else "L2"
        else:
            self.isolation = "L1"
        return self._facts

    async def _choose_image(self, spec: WorkloadSpec, options: ContainerOptions) -> tuple[str, bool]:
        """Return the image of a launch, and whether it was made of its workspace's environment."""
        wanted = spec.image or options.image or self._settings.image
        if wanted == options.image or self.images.allows(wanted):
            return wanted, False
        if await self.images.is_of(wanted, spec.workspace_id):
            return wanted, True
        raise self.images.refusal(wanted)

    async def _observe(self, launch: Launch) -> Observation:
        if (end := launch.read_end()) is not None:
            return Observation(Phase.ENDED, exit=end)
        if launch.read_plan() is not None:
            return self._launching.observe(launch, self._name(launch))
        found = await self._daemon.find(self._name(launch))
        if found is None and not launch.is_known:
            return Observation(Phase.ENDED, exit=never_was())
        state = found["State"] if found else None
        if state is not None and state.get("Status") in _ALIVE:
            if launch.was_ready and launch.hold_socket():
                kernels = f"unix/{launch.kernels}" if launch.hold_kernels() else None
                return Observation(Phase.READY, upstream=f"unix/{launch.upstream}", kernels=kernels)
            return Observation(Phase.STARTING)
        return Observation(Phase.ENDED, exit=await self._bury(launch, found))

    async def _bury(self, launch: Launch, found: Mapping[str, Any] | None) -> Exit:
        """Keep how a container ended that does not run any more, and remove it."""
        told = read_exit(launch.files)
        if (
            found
            and told is None
            and not launch.was_ready
            and (output := await self._daemon.read_output(self._name(launch)))
        ):
            # It ended before it had a log of its own.
            with contextlib.suppress(OSError):
                write_atomically(launch.files.log, "".join(output))
        limit = int((found or {}).get("HostConfig", {}).get("Memory") or 0)
        end = explain(
            found["State"] if found else None,
            told,
            was_stopped=launch.was_stopped,
            was_ready=launch.was_ready,
            memory_limit=limit or None,
        )
        end = launch.keep_end(end)
        launch.clear_up()
        self._gpus.free(launch.name)
        with contextlib.suppress(Unavailable):
            await self._daemon.remove(self._name(launch))
        return end

    async def _stop(self, launch: Launch, grace: timedelta) -> None:
        name = self._name(launch)
        found = await self._daemon.find(name)
        if found is not None and found["State"].get("Status") in _ALIVE:
            await self._daemon.signal(name, "SIGTERM")
            self._see_end(launch, grace)
        elif found is None and not launch.was_begun:
            launch.keep_end(stopped_in_time())
            launch.clear_up()
            self._gpus.free(launch.name)
            self._daemon.tell(name)
        else:
            await self._bury(launch, found)

    def _see_end(self, launch: Launch, grace: timedelta) -> None:
        """Ask again until the container has ended; at last, kill it. Asking is not all: process 1 may not hear yet."""
        if launch.name in self._stopping:
            return

        async def see() -> None:
            name, clock = self._name(launch), asyncio.get_running_loop().time
            deadline = clock() + grace.total_seconds() + _OVERDUE_SECONDS
            with self._daemon.listen(name) as news:
                while (await self.observe(launch.handle)).phase is not Phase.ENDED:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(_ASK_AGAIN_SECONDS):
                            await news.wait()
                            news.clear()
                            continue
                    # Whoever cannot be asked now is asked again by the platform, which goes on wanting the end.
                    with contextlib.suppress(Unavailable):
                        await self._daemon.signal(name, "SIGTERM" if clock() < deadline else "SIGKILL")

        task = self._stopping[launch.name] = asyncio.create_task(see())
        task.add_done_callback(lambda _: self._stopping.pop(launch.name, None))

    def _launch(self, workload_id: str, number: int) -> Launch:
        return Launch(self._on.data_dir / "engines" / self.name, self._on.sockets, workload_id, number)

    def _name(self, launch: Launch) -> str:
        return container_name(self._instance, launch)
