"""One kernel of a host: what is kept of it, its journal, and while it lives its process and its bridge."""

import asyncio
import contextlib
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from studiolo.gateway.base import KernelState, Process
from studiolo.gateway.bridge.kernel import Kernel
from studiolo.gateway.filling.cells import Cells
from studiolo.gateway.filling.saving import NotebookSaver
from studiolo.gateway.journals.journal import Journal
from studiolo.gateway.journals.stock import Stock
from studiolo.gateway.kernel_records import KernelRecord


@dataclass(slots=True)
class Hosted:
    """One kernel. `kernel` and `process` are None before it runs, and when an earlier host saw its end.

    `started_at`: monotonic time of its last start; `early_deaths`: how often in a row it died soon after one.
    `lock` is held while it starts, restarts or is ended. `erase_at`: monotonic time after which its journal goes.
    """

    record: KernelRecord
    folder: Path
    kernel: Kernel | None = None
    process: Process | None = None
    is_changing: bool = False
    started_at: float = 0.0
    early_deaths: int = 0
    erase_at: float | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    # How long after the last client left its notebook is written; `saver` is there while the journal is open.
    save_after: float = 60.0
    saver: NotebookSaver | None = None
    stock: Stock | None = None
    _journal: Journal | None = None
    _cells: Cells | None = None
    _waiting: list[asyncio.Future[None]] = field(default_factory=list)

    @property
    def id(self) -> str:
        """The kernel's id."""
        return self.record.id

    @property
    def scope(self) -> str:
        """The scope that the kernel belongs to."""
        return self.record.plan.scope

    @property
    def journal(self) -> Journal:
        """The kernel's journal; opened when first needed."""
        return self.open_journal()

    def open_journal(self) -> Journal:
        """Return the journal, opened if it is not. Raises OSError."""
        if self._journal is None:
            self._journal = Journal.open(self.folder / "journal", stock=self.stock)
            self.saver = NotebookSaver(self._journal, grace_seconds=self.save_after)
        return self._journal

    async def read_cells(self) -> Cells:
        """Return what each cell has put out so far; read on from where the last call came to, piece by piece."""
        cells = self._cells = self._cells or Cells(self.journal)
        has_more = cells.advance()
        while has_more:
            # Others get their turn.
            await asyncio.sleep(0)
            has_more = cells.advance()
        return cells

    @property
    def is_alive(self) -> bool:
        """Whether it starts, runs or restarts."""
        return self.record.exit is None

    @property
    def state(self) -> KernelState:
        """What clients see as execution_state."""
        if not self.is_alive:
            return KernelState.DEAD
        return KernelState.STARTING if self.kernel is None else self.kernel.state

    @property
    def last_active_at(self) -> datetime:
        """When it last did something, or ended."""
        if self.record.exit is not None:
            return self.record.exit.at
        return self.record.started_at if self.kernel is None else self.kernel.last_activity

    @property
    def connections(self) -> int:
        """Number of open websockets."""
        return 0 if self.kernel is None else self.kernel.connections

    def model(self) -> dict[str, Any]:
        """Return the kernel as Jupyter's API shows it. Source: jupyter_server 2.21, kernel_model."""
        shown: dict[str, Any] = {
            "id": self.id,
            "name": self.record.plan.spec_name,
            "last_activity": isoformat(self.last_active_at),
            "execution_state": str(self.state),
            "connections": self.connections,
        }
        if self.record.exit is not None:
            shown["reason"] = self.record.exit.message
        return shown

    def report(self, path: str | None) -> dict[str, Any]:
        """Return what the platform is told of it."""
        return {
            "id": self.id,
            "scope": self.scope,
            "spec": self.record.plan.spec_name,
            "state": str(self.state),
            "connections": self.connections,
            "last_active_at": self.last_active_at.isoformat(),
            "path": path or self.record.plan.path,
            "output": self.journal.last if self.kernel is not None else 0,
            # What comes after this number was put out while nobody was connected.
            "unread_after": self.kernel.seen if self.kernel is not None and self.kernel.has_unread else None,
        }

    async def await_output(self, after: int, seconds: float) -> None:
        """Wait until the journal has something behind number `after`, for so long at most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.is_alive and self.journal.last <= after:
                    future = asyncio.get_running_loop().create_future()
                    self._waiting.append(future)
                    await future

    async def await_end(self) -> None:
        """Wait until it has ended for good: a restart is no end."""
        while self.is_alive:
            future = asyncio.get_running_loop().create_future()
            self._waiting.append(future)
            await future

    def wake(self) -> None:
        """Wake who waits for output or the end."""
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    def close_journal(self) -> None:
        """Close the journal's files; it opens again when needed."""
        if self._journal is not None:
            self._journal.close()
            self._journal = self._cells = self.saver = None


def isoformat(at: datetime) -> str:
    """Return a time as Jupyter writes it: UTC, always with microseconds, which stock clients parse strictly."""
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
