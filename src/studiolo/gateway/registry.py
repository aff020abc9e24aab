"""All kernels of a host: start, adopt, restart, interrupt, end, forget."""

import asyncio
import errno
import logging
import time
import uuid
from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

from studiolo.contract.errors import Conflict, Internal, StudioloError, Unavailable
from studiolo.gateway.api.problems import no_kernel
from studiolo.gateway.base import Authority, Caller, Elsewhere, KernelExit, Launcher, Process, Wish
from studiolo.gateway.bridge.audience import PING_SECONDS
from studiolo.gateway.bridge.kernel import Kernel
from studiolo.gateway.bridge.output import recover_left
from studiolo.gateway.documents import Documents
from studiolo.gateway.folders import WORKING_FOLDER
from studiolo.gateway.hosted import Hosted
from studiolo.gateway.journals.stock import Stock
from studiolo.gateway.kernel_records import KernelRecord, KernelRecords
from studiolo.gateway.seeding import Seed

# How long a kernel may take to end by itself when asked, then after SIGTERM, and how many are adopted at once.
_POLITE_SECONDS = 1.0
_GRACE_SECONDS = 3.0
_ADOPTED_AT_ONCE = 16
# A kernel that dies within this time of its start is started anew so often in a row.
_EARLY_SECONDS = 10.0
_MOST_EARLY_DEATHS = 3

_log = logging.getLogger(__name__)


class Registry:
    """Kernels by id. `changed` is set whenever a report would say something new."""

    def __init__(
        self,
        records: KernelRecords,
        documents: Documents,
        launcher: Launcher,
        authority: Authority,
        *,
        keep_ended: float,
        save_after: float = 60.0,
        stock: Stock | None = None,
        ping: float = PING_SECONDS,
        seed: Seed | None = None,
    ) -> None:
        self._records = records
        self._documents = documents
        self._launcher = launcher
        self._authority = authority
        self._keep_ended = keep_ended
        self._save_after = save_after
        self._stock = stock
        self._ping = ping
        self._seed = seed
        self._hosted: dict[str, Hosted] = {}
        self._reserving: set[str] = set()
        self._telling: set[asyncio.Task[None]] = set()
        self.changed = asyncio.Event()

    @property
    def has_living(self) -> bool:
        """Whether any kernel lives, shown or not."""
        return any(hosted.is_alive for hosted in self._hosted.values())

    def list(self, scope: str | None = None) -> list[Hosted]:
        """Return the kernels of a scope, or all; ended ones until they are removed or forgotten."""
        return [h for h in self._hosted.values() if not h.record.removed and scope in (None, h.scope)]

    def find(self, scope: str, kernel_id: str) -> Hosted:
        """Return a kernel of a scope. Raises NotFound, for another scope's too."""
        hosted = self._hosted.get(kernel_id.lower())
        if hosted is None or hosted.scope != scope or hosted.record.removed:
            raise no_kernel(kernel_id)
        return hosted

    def find_kept(self, scope: str, kernel_id: str) -> Hosted:
        """Return a kernel whose journal is kept, removed ones and those of a session's earlier launches too."""
        hosted = self._hosted.get(kernel_id.lower())
        if hosted is None or _owner(hosted.scope) != _owner(scope):
            raise no_kernel(kernel_id)
        return hosted

    def is_known(self, kernel_id: str) -> bool:
        """Tell whether an id is taken, in any scope."""
        return kernel_id in self._hosted or kernel_id in self._reserving

    async def start(self, caller: Caller, wish: Wish) -> Hosted:
        """Start a kernel here and return when it is bound. Raises what the authority raises, Conflict, Unavailable."""
        started = await self.start_anywhere(caller, replace(wish, only_here=True))
        assert isinstance(started, Hosted)
        return started

    async def start_anywhere(self, caller: Caller, wish: Wish) -> Hosted | Elsewhere:
        """As `start`, but where the authority wants it."""
        kernel_id = wish.kernel_id or str(uuid.uuid4())
        if self.is_known(kernel_id):
            raise Conflict("kernel-exists", f"A kernel with id {kernel_id} exists already.")
        self._reserving.add(kernel_id)
        try:
            reserved = await self._authority.reserve(caller, replace(wish, kernel_id=kernel_id))
            if isinstance(reserved, Elsewhere):
                return reserved
            plan = replace(reserved, path=wish.path)
            record = KernelRecord(plan, caller.person_id, caller.person_name, datetime.now(UTC))
            hosted = self._hosted[kernel_id] = self._host(record)
        finally:
            self._reserving.discard(kernel_id)
        async with hosted.lock:
            try:
                await self._launch(hosted)
            except StudioloError:
                self._erase(hosted)
                raise
        return hosted

    async def restart(self, caller: Caller, hosted: Hosted) -> None:
        """Start a kernel anew under its id; its journal goes on and its clients stay. Raises as `start`."""
        async with hosted.lock:
            if hosted.record.removed:
                raise no_kernel(hosted.id)
            hosted.is_changing = True
            try:
                if not hosted.is_alive or not hosted.record.has_variables:
                    plan = hosted.record.plan
                    folder = {WORKING_FOLDER: str(plan.folder)} if plan.path is None else {}
                    wish = Wish(plan.spec_name, plan.path, folder, kernel_id=hosted.id, only_here=True)
                    reserved = await self._authority.reserve(caller, wish)
                    assert not isinstance(reserved, Elsewhere)
                    hosted.record = replace(hosted.record, plan=replace(reserved, path=plan.path))
                if hosted.is_alive and hosted.kernel is not None and hosted.process is not None:
                    await _end(hosted.process, agreed=await hosted.kernel.shutdown_request(restart=True))
                hosted.record = replace(hosted.record, exit=None, has_variables=True)
                await self._launch(hosted)
            finally:
                hosted.is_changing = False
        self.changed.set()

    async def interrupt(self, hosted: Hosted) -> None:
        """Interrupt what runs in a kernel. Raises Conflict when it has ended."""
        if hosted.kernel is None or not hosted.is_alive:
            raise Conflict("kernel-ended", "The kernel has ended.", hint="Restart it.")
        await hosted.kernel.interrupt()

    async def remove(self, hosted: Hosted) -> None:
        """End a kernel and show it no more; its journal is kept for a while. Safe to repeat, and during its start."""
        if not hosted.record.removed:
            hosted.record = replace(hosted.record, removed=True)
            self._documents.forget_kernel(hosted.scope, hosted.id)
        async with hosted.lock:
            if hosted.id not in self._hosted:
                return
            self._keep(hosted)
            if hosted.is_alive and hosted.process is not None and hosted.kernel is not None:
                agreed = await hosted.kernel.shutdown_request(restart=False)
                self._note_end(hosted, await _end(hosted.process, agreed=agreed))
            if hosted.kernel is not None:
                await hosted.kernel.close()
                hosted.kernel = None
                hosted.close_journal()
        self.changed.set()

    async def remove_scope(self, scope: str) -> None:
        """End all kernels of a scope."""
        await asyncio.gather(*(self.remove(hosted) for hosted in self.list(scope)))

    async def adopt_all(self) -> None:
        """Find the kernels that earlier hosts started."""
        slots = asyncio.Semaphore(_ADOPTED_AT_ONCE)

        async def adopt(record: KernelRecord) -> None:
            async with slots:
                await self._adopt(record)

        found = await asyncio.gather(*map(adopt, self._records.read_all()), return_exceptions=True)
        for error in found:
            if isinstance(error, BaseException):
                _log.error("A kernel could not be adopted.", exc_info=error)

    def forget_old(self) -> None:
        """Erase kernels that ended long ago."""
        now = time.monotonic()
        for hosted in list(self._hosted.values()):
            if hosted.erase_at is not None and now >= hosted.erase_at and not hosted.lock.locked():
                self._documents.forget_kernel(hosted.scope, hosted.id)
                self._erase(hosted)

    def cut(self, logins: set[str], scopes: Collection[str] | None = None) -> None:
        """Close the websockets of logins that have ended, or have done so for some scopes."""
        for hosted in self._hosted.values():
            if hosted.kernel is not None and (scopes is None or hosted.scope in scopes):
                hosted.kernel.cut(logins)

    async def close(self, *, end_kernels: bool) -> None:
        """Let go of all kernels, which run on, or end them."""
        if end_kernels:
            await asyncio.gather(*(self.remove(hosted) for hosted in self.list()), return_exceptions=True)
        for hosted in self._hosted.values():
            if hosted.kernel is not None:
                await hosted.kernel.close()
            hosted.close_journal()
        await asyncio.gather(*self._telling, return_exceptions=True)

    def _host(self, record: KernelRecord) -> Hosted:
        return Hosted(record, self._records.folder(record.id), save_after=self._save_after, stock=self._stock)

    async def _launch(self, hosted: Hosted) -> None:
        plan = hosted.record.plan
        try:
            self._records.write(hosted.record)
            process = await self._start_process(hosted)
            if hosted.kernel is None:
                await self._attach(hosted, process, fresh=True)
            else:
                hosted.process = process
                await hosted.kernel.replaced(process)
            await self._sow(hosted)
        except Exception as exc:
            error = _as_problem(exc)
            await self._authority.started(plan.kernel_id, ok=False, message=error.message)
            self._note_end(hosted, KernelExit("never-ready", error.message, datetime.now(UTC)), is_told=True)
            if hosted.process is not None:
                await hosted.process.stop(grace_seconds=0)
            raise error from exc
        hosted.started_at = time.monotonic()
        await self._authority.started(plan.kernel_id, ok=True)
        self.changed.set()

    async def _start_process(self, hosted: Hosted) -> Process:
        """Start its process; meanwhile keep its variables and open its journal."""
        starting = asyncio.create_task(self._launcher.start(hosted.record.plan))
        try:
            # As far as it goes without waiting: a kernel server has its request by then.
            await asyncio.sleep(0)
            self._records.write_variables(hosted.record.plan)
            hosted.open_journal()
        finally:
            hosted.process = process = await starting
        return process

    async def _sow(self, hosted: Hosted) -> None:
        """Run the seed notebook. Raises Unavailable (`kernel-not-started`) with the cell that fails."""
        if self._seed is None or not self._seed.fits(hosted.record.plan.language):
            return
        assert hosted.kernel is not None
        for number, code in enumerate(self._seed.cells, 1):
            try:
                error = await hosted.kernel.run_quietly(code)
            except asyncio.CancelledError:
                if (task := asyncio.current_task()) is not None and task.cancelling():
                    raise
                error = "the kernel died"
            if error:
                raise Unavailable(
                    "kernel-not-started",
                    f"Code cell {number} of the seed notebook failed: {error[:500]}",
                    hint="Whoever runs the gateway can mend the notebook that --seed names.",
                )

    async def _attach(self, hosted: Hosted, process: Process, *, fresh: bool) -> None:
        hosted.process = process
        hosted.kernel = await Kernel.attach(
            process,
            hosted.journal,
            interrupt_mode=hosted.record.plan.interrupt_mode,
            fresh=fresh,
            on_change=partial(self._look_at, hosted),
            ping=self._ping,
        )
        hosted.kernel.revive = partial(self._revive, hosted)

    async def _adopt(self, record: KernelRecord) -> None:
        hosted = self._hosted[record.id] = self._host(record)
        if record.exit is not None:
            age = (datetime.now(UTC) - record.exit.at).total_seconds()
            hosted.erase_at = time.monotonic() + min(max(self._keep_ended - age, 0), self._keep_ended)
            return
        async with hosted.lock:
            found = await self._launcher.adopt(record.id)
            if found is None:
                found = KernelExit("vanished", "The kernel was gone when the host came back.", datetime.now(UTC))
            if isinstance(found, KernelExit):
                recover_left(hosted.journal)
                self._note_end(hosted, found)
                return
            await self._attach(hosted, found, fresh=False)
        if record.removed:
            await self.remove(hosted)

    def _revive(self, hosted: Hosted, exit: KernelExit) -> bool:
        """Tell whether a kernel that died is started anew at once: a notebook's is, as Jupyter does; it is bounded."""
        is_early = time.monotonic() - hosted.started_at < _EARLY_SECONDS
        hosted.early_deaths = hosted.early_deaths + 1 if is_early else 0
        is_wanted = not hosted.record.removed and not hosted.is_changing and exit.reason != "stopped"
        joined = self._documents.path_of(hosted.scope, hosted.id) is not None
        if not (is_wanted and joined and hosted.record.has_variables) or hosted.early_deaths > _MOST_EARLY_DEATHS:
            return False
        task = asyncio.create_task(self._start_anew(hosted, hosted.process))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)
        return True

    async def _start_anew(self, hosted: Hosted, died: Process | None) -> None:
        async with hosted.lock:
            if hosted.record.removed or hosted.process is not died:
                return
            hosted.is_changing = True
            try:
                await self._launch(hosted)
            except StudioloError as exc:
                _log.warning("Kernel %s died and does not start anew: %s", hosted.id, exc.message)
            finally:
                hosted.is_changing = False

    def _look_at(self, hosted: Hosted) -> None:
        """Called by a kernel's bridge: another state, other clients, output, the end."""
        if hosted.saver is not None and hosted.kernel is not None:
            hosted.saver.clients_changed(hosted.connections, is_lost=hosted.kernel.has_lost_client)
        ended = None if hosted.kernel is None else hosted.kernel.exit
        if ended is not None and not hosted.is_changing:
            self._note_end(hosted, ended)
        hosted.wake()
        self.changed.set()

    def _note_end(self, hosted: Hosted, exit: KernelExit, *, is_told: bool = False) -> None:
        if hosted.record.exit is not None:
            return
        hosted.record = replace(hosted.record, exit=exit)
        hosted.erase_at = time.monotonic() + self._keep_ended
        self._keep(hosted)
        if hosted.kernel is not None and hosted.kernel.exit is None:
            hosted.kernel.ended(exit)
        if not is_told:
            task = asyncio.create_task(self._authority.ended(hosted.id, exit))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)
        self.changed.set()

    def _keep(self, hosted: Hosted) -> None:
        """Write a kernel's record. A full disk keeps nothing from ending."""
        try:
            self._records.write(hosted.record)
        except OSError as exc:
            _log.warning("The record of kernel %s cannot be written: %s", hosted.id, exc)

    def _erase(self, hosted: Hosted) -> None:
        self._hosted.pop(hosted.id, None)
        hosted.close_journal()
        self._records.erase(hosted.id)


async def _end(process: Process, *, agreed: bool) -> KernelExit:
    """Wait a moment for a kernel that was asked to end, then have it ended. Returns how it ended."""
    waiting = asyncio.ensure_future(process.wait())
    done, _ = await asyncio.wait([waiting], timeout=_POLITE_SECONDS if agreed else 0)
    if not done:
        await process.stop(grace_seconds=_GRACE_SECONDS)
    return await waiting


def _as_problem(error: Exception) -> StudioloError:
    """Return what is told of a start that failed: whatever it was, the kernel has not started and is not counted."""
    if isinstance(error, StudioloError):
        return error
    if isinstance(error, OSError):
        return _unusable_disk(error)
    _log.error("A kernel could not be started.", exc_info=error)
    return Internal("internal", "An unexpected fault; the log has the detail.")


def _unusable_disk(error: OSError) -> Unavailable:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Unavailable("disk-full", "The disk is full; no kernel can start.", hint="Make room, then try again.")
    return Unavailable("data-directory-unusable", f"What kernels need cannot be written: {error.strerror}.")


def _owner(scope: str) -> str:
    """Return a session's id without its launch, or the workspace's id."""
    return scope.partition(".")[0]
