"""A fake engine that keeps workspaces' files itself, as clusters and Hubs do, in a folder of the test's."""

import asyncio
import hashlib
import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from studiolo.contract.errors import Unavailable
from studiolo.engines.base import Storage, Store, StoredPlace
from studiolo.engines.carrying import CarriedStore, calls_to
from studiolo.testing.fake_engine import FakeEngine


class KeepingEngine(FakeEngine):
    """A FakeEngine with storage of its own: Stores. `behaviour.answers` counts for its files too.

    `may_write`: blocks are written when this is set; with `holds_at`, a path, only those of it wait. `spoils`: a file
    whose content is not what was written. `free`: how many bytes may be written, None: as the disk has. `written`:
    paths, in order, of each block.
    """

    def __init__(self, name: str, folder: Path, isolation: str = "L2") -> None:
        super().__init__(name, isolation)
        self.storage: Storage = "own"
        self.folder = folder
        self.may_write = asyncio.Event()
        self.may_write.set()
        self.holds_at: str | None = None
        self.spoils: str | None = None
        self.free: int | None = None
        self.written: list[str] = []

    def files_of(self, place: StoredPlace) -> Path:
        """Return where a workspace's files are."""
        return self.folder / hashlib.sha256(str(place.folder).encode()).hexdigest()[:10]

    @asynccontextmanager
    async def open_store(self, place: StoredPlace) -> AsyncGenerator[Store]:
        """See Stores.open_store."""
        self.answer()
        self.files_of(place).mkdir(parents=True, exist_ok=True)
        yield _Kept(self, self.files_of(place))

    async def forget_store(self, place: StoredPlace) -> None:
        """See Stores.forget_store."""
        self.answer()
        await asyncio.to_thread(shutil.rmtree, self.files_of(place), ignore_errors=True)

    def answer(self) -> None:
        """Raise Unavailable if nobody is to answer."""
        if not self.behaviour.answers:
            raise Unavailable("engine-unavailable", f"The engine {self.name} does not answer.", hint="Tell it to.")


class _Kept(CarriedStore):
    """A folder's store that does what its engine was told."""

    def __init__(self, engine: KeepingEngine, folder: Path) -> None:
        super().__init__(calls_to(folder))
        self._engine = engine

    async def write(self, path: str, offset: int, block: bytes) -> None:
        self._engine.answer()
        if self._engine.holds_at in (None, path):
            await self._engine.may_write.wait()
        self._engine.written.append(path)
        await super().write(path, offset, b"x" * len(block) if path == self._engine.spoils else block)

    async def room(self) -> int:
        free = self._engine.free
        return await super().room() if free is None else free
