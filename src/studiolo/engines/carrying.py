"""The one client of `runtime.carried`: a Store from calls, whichever way they take to where the files are."""

import asyncio
import errno
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from studiolo.contract.errors import Conflict, Denied, StudioloError, Unavailable
from studiolo.engines.base import StoredEntry
from studiolo.runtime.carried import CarriedFolder

# Does a call with its arguments and a block there, within some seconds; returns JSON and bytes as CarriedFolder.call.
# Raises OSError for what failed there, ValueError for what is no call or leaves the folder, Unavailable
# (`engine-unavailable`) where nobody answers.
Call = Callable[[str, Mapping[str, Any], bytes, float], Awaitable[tuple[Any, bytes]]]
_CALL_SECONDS = 60.0
_LONG_SECONDS = 600.0
# Of a disk that is slow, and shared.
_SLOWEST_BYTES_PER_SECOND = 5e6
_PAGE = 2000
_SHOWN = 200


class CarriedStore:
    """Implements Store by calls."""

    def __init__(self, call: Call) -> None:
        self._call_there = call

    async def list_entries(self) -> AsyncIterator[StoredEntry]:
        """See Store.list_entries."""
        start = 0
        while page := await self._call("entries", {"start": start, "most": _PAGE}, seconds=_LONG_SECONDS):
            for item in page:
                yield _read_entry(item)
            start += len(page)

    async def read(self, path: str, offset: int, size: int) -> bytes:
        """See Store.read."""
        arguments = {"path": path, "offset": offset, "size": size}
        try:
            return (await self._call_there("read", arguments, b"", _CALL_SECONDS))[1]
        except (OSError, ValueError) as exc:
            raise _explain(exc, path) from exc

    async def write(self, path: str, offset: int, block: bytes) -> None:
        """See Store.write."""
        await self._call("write", {"path": path, "offset": offset}, block)

    async def finish(self, entry: StoredEntry) -> None:
        """See Store.finish."""
        await self._call("finish", {"path": entry.path, "modified_ns": entry.modified_ns, "mode": entry.mode})

    async def make(self, entry: StoredEntry) -> None:
        """See Store.make."""
        await self._call("make", {"path": entry.path, "kind": entry.kind, "target": entry.target})

    async def digest(self, entry: StoredEntry) -> str:
        """See Store.digest."""
        seconds = _CALL_SECONDS + entry.size / _SLOWEST_BYTES_PER_SECOND
        return str(await self._call("digest", {"path": entry.path}, seconds=seconds))

    async def room(self) -> int:
        """See Store.room."""
        return int(await self._call("room", {}))

    async def settle(self) -> None:
        """See Store.settle."""
        await self._call("settle", {}, seconds=_LONG_SECONDS)

    async def rename(self, path: str, target: str) -> None:
        """See Store.rename."""
        await self._call("rename", {"path": path, "target": target})

    async def remove(self, path: str) -> None:
        """See Store.remove."""
        await self._call("remove", {"path": path}, seconds=_LONG_SECONDS)

    async def clear(self) -> None:
        """See Store.clear."""
        await self._call("clear", {}, seconds=_LONG_SECONDS)

    async def _call(
        self, name: str, arguments: Mapping[str, Any], block: bytes = b"", *, seconds: float = _CALL_SECONDS
    ) -> Any:
        try:
            return (await self._call_there(name, arguments, block, seconds))[0]
        except (OSError, ValueError) as exc:
            raise _explain(exc, str(arguments.get("path", ""))) from exc


def folder_store(folder: Path) -> CarriedStore:
    """Return the store of a folder of this machine."""
    return CarriedStore(calls_to(folder))


def calls_to(folder: Path) -> Call:
    """Return what does calls to a folder of this machine, in threads."""
    carried = CarriedFolder(str(folder))

    async def call(name: str, arguments: Mapping[str, Any], block: bytes, seconds: float) -> tuple[Any, bytes]:
        return await asyncio.to_thread(carried.call, name, dict(arguments), block)

    return call


def calls_by(exchange: Callable[[bytes, float], Awaitable[bytes]]) -> Call:
    """Return what does calls by an exchange of bodies with `carried.answer`, within seconds."""

    async def call(name: str, arguments: Mapping[str, Any], block: bytes, seconds: float) -> tuple[Any, bytes]:
        line = json.dumps({"name": name, "arguments": dict(arguments)}).encode()
        head, _, found = (await exchange(line + b"\n" + block, seconds)).partition(b"\n")
        match json.loads(head):
            case {"result": result}:
                return result, found
            case {"errno": int(number)}:
                raise OSError(number, os.strerror(number))
        raise ValueError(head[:_SHOWN])

    return call


def _read_entry(item: Any) -> StoredEntry:
    """Read what may be anybody's word. Raises Unavailable (`move-failed`)."""
    match item:
        case [str(), "folder" | "file" | "link", int(), int(), int(), str()] if item[2] >= 0:
            return StoredEntry(*item)
    raise Unavailable(
        "move-failed", "The files there are listed in a way that cannot be read.", detail=repr(item)[:_SHOWN]
    )


def _explain(exc: OSError | ValueError, path: str) -> StudioloError:
    # Names of files need not be text.
    shown = path.encode(errors="replace").decode()[-_SHOWN:]
    if isinstance(exc, ValueError):
        return Denied("move-file-refused", f"{shown!r} is no place within a workspace.", detail=repr(exc))
    match exc.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return Unavailable(
                "move-no-room", "There is no room left where the files go.", hint="Make room there, then move again."
            )
        case errno.ENOENT | errno.ENOTDIR | errno.ELOOP:
            return Conflict(
                "move-file-changed",
                f"{shown!r} was changed while it was copied.",
                hint="Let nothing write into the workspace, then move again.",
            )
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return Denied(
                "move-file-refused",
                f"The account that keeps the workspace may not use {shown!r}.",
                hint="Give its owner the right to read it (chmod u+r), or remove it, then move again.",
            )
    return Unavailable(
        "move-failed",
        f"{shown!r} could not be copied: {exc.strerror or exc}.",
        hint="Move again; the log of the platform says more.",
        detail=repr(exc),
    )
