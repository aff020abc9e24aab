"""Copying all files of a workspace from one store to another, each checked by its digest. Goes on where it was left."""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from studiolo.contract.errors import Conflict, Unavailable
from studiolo.contract.sizes import describe_size
from studiolo.engines.base import Store, StoredEntry

_BLOCK = 4 << 20
# Left free for everybody else where the files go.
_RESERVE_BYTES = 64 << 20
_Listing = dict[str, StoredEntry]


@dataclass
class Copied:
    """How far a copying is; files include folders and links, `bytes_*` are of files."""

    files_total: int = 0
    files_done: int = 0
    bytes_total: int = 0
    bytes_done: int = 0


# Told after each step; raises to end the copying.
Tell = Callable[[Copied], Awaitable[None]]


async def copy_store(source: Store, goal: Store, tell: Tell) -> Copied:
    """Copy all that `source` holds. `goal` is empty, or has what an earlier copying of the same brought there.

    Raises Unavailable (`move-no-room` before the first block; `engine-unavailable`), Conflict (`move-file-changed`,
    `move-digest-differs`), and what `tell` raises.
    """
    listing, there = await _list(source), await _list(goal)
    done = Copied(len(listing), bytes_total=sum(entry.size for entry in listing.values()))
    await tell(done)
    await _check_room(goal, listing, there)
    for entry in listing.values():
        if entry.kind != "file":
            await goal.make(entry)
        else:
            await _bring(source, goal, entry, there.get(entry.path), done, tell)
        done.files_done += 1
        await tell(done)
    # Last, and from within: what a folder may not be written to any more must hold everything by then.
    for entry in reversed(list(listing.values())):
        if entry.kind == "folder":
            await goal.finish(entry)
    await goal.settle()
    return done


async def check_copy(source: Store, goal: Store, done: Copied) -> None:
    """Raise Conflict (`move-file-changed`) unless both hold the same files, as many as were copied.

    What they hold was checked file by file; this finds what came, went or was written to since.
    """
    ours, theirs = await _list(source), await _list(goal)
    looks = [{(path, _look(entry)) for path, entry in listing.items()} for listing in (ours, theirs)]
    differing = sorted(looks[0] ^ looks[1])
    size = sum(entry.size for entry in ours.values())
    if differing:
        raise _changed(differing[0][0])
    if (len(ours), size) != (done.files_total, done.bytes_total):
        raise _changed("a file")


async def _list(store: Store) -> _Listing:
    return {entry.path: entry async for entry in store.list_entries()}


async def _check_room(goal: Store, listing: _Listing, there: _Listing) -> None:
    needed = sum(entry.size for entry in listing.values()) - sum(
        min(entry.size, listing[path].size) for path, entry in there.items() if path in listing
    )
    room = await goal.room()
    if needed + _RESERVE_BYTES > room:
        raise Unavailable(
            "move-no-room",
            f"{describe_size(needed)} must go where {describe_size(room)} are free; nothing was copied.",
            hint="Make room there, or delete files of the workspace, then move again.",
        )


async def _bring(
    source: Store, goal: Store, entry: StoredEntry, there: StoredEntry | None, done: Copied, tell: Tell
) -> None:
    if there is not None and (there.kind, there.size) == ("file", entry.size):
        # From an earlier try that was cut off; whole or not, its digest says.
        digest = await source.digest(entry)
        if await goal.digest(entry) == digest:
            await goal.finish(entry)
            done.bytes_done += entry.size
            return
    digest = await _send(source, goal, entry, done, tell)
    await goal.finish(entry)
    if await goal.digest(entry) != digest:
        raise Conflict(
            "move-digest-differs",
            f"{_shown(entry.path)} was read as one thing and written as another.",
            hint="A disk or a network may be broken: have it looked at, then move again.",
        )


async def _send(source: Store, goal: Store, entry: StoredEntry, done: Copied, tell: Tell) -> str:
    told, offset = hashlib.sha256(), 0
    if not entry.size:
        await goal.write(entry.path, 0, b"")
    while offset < entry.size:
        block = await source.read(entry.path, offset, min(_BLOCK, entry.size - offset))
        if not block:
            raise _changed(entry.path)
        await goal.write(entry.path, offset, block)
        told.update(block)
        offset += len(block)
        done.bytes_done += len(block)
        await tell(done)
    return told.hexdigest()


def _look(entry: StoredEntry) -> tuple[str, int, int, str]:
    """What is the same at both ends. File systems keep times less exactly than they tell them."""
    return entry.kind, entry.size, entry.modified_ns // 10**9, entry.target


def _changed(path: str) -> Conflict:
    return Conflict(
        "move-file-changed",
        f"{_shown(path)} was changed while the files were copied.",
        hint="Let nothing write into the workspace, then move again.",
    )


def _shown(path: str) -> str:
    # Names of files need not be text.
    return repr(path.encode(errors="replace").decode()[-200:])
