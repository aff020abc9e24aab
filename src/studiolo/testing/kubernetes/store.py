"""Objects of a cluster, with their versions and what changed since each of them."""

import asyncio
import copy
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Change:
    """One change. `kind`: ADDED, MODIFIED or DELETED; `item`: the object as it was after it, `before`: before it."""

    version: int
    kind: str
    resource: str
    item: Object
    before: Object | None = None


@dataclass
class Store:
    """Objects by resource, namespace and name. One version counts all changes, as etcd's does."""

    version: int = 1000
    # Changes up to this version are forgotten.
    compacted: int = 0
    objects: dict[tuple[str, str, str], Object] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    _news: set[asyncio.Event] = field(default_factory=set)

    def find(self, resource: str, namespace: str, name: str) -> Object | None:
        """Return an object as it stands."""
        return self.objects.get((resource, namespace, name))

    def list_all(self, resource: str, namespace: str) -> list[Object]:
        """Return all objects of a kind in a namespace, by their names."""
        keys = sorted(key for key in self.objects if key[:2] == (resource, namespace))
        return [self.objects[key] for key in keys]

    def put(self, resource: str, item: Object) -> Object:
        """Add or replace an object; returns it with its new version."""
        key = (resource, item["metadata"]["namespace"], item["metadata"]["name"])
        return self._note("MODIFIED" if key in self.objects else "ADDED", key, item)

    def remove(self, resource: str, item: Object) -> None:
        """Remove an object."""
        key = (resource, item["metadata"]["namespace"], item["metadata"]["name"])
        if key in self.objects:
            self._note("DELETED", key, item)

    def compact(self) -> None:
        """Forget all changes: a watch from an earlier version is answered 410."""
        self.compacted = self.version
        self.changes.clear()

    def since(self, version: int, resource: str, fits: Callable[[Object], bool]) -> list[Change]:
        """Return the changes after a version, as a watch of what `fits` tells them.

        To it an object that does not fit any more was deleted, and one that fits from now on was added.
        """
        news = [change for change in self.changes if change.version > version and change.resource == resource]
        return [told for change in news if (told := _as_told(change, fits)) is not None]

    def listen(self) -> asyncio.Event:
        """Return an event that is set at each change from now on; give it to `leave` in the end."""
        event = asyncio.Event()
        self._news.add(event)
        return event

    def leave(self, event: asyncio.Event) -> None:
        """Stop telling."""
        self._news.discard(event)

    def wake(self) -> None:
        """Have all who listen look again."""
        for event in self._news:
            event.set()

    def _note(self, kind: str, key: tuple[str, str, str], item: Object) -> Object:
        self.version += 1
        kept = _of_version(copy.deepcopy(item), self.version)
        before = self.objects.get(key)
        if kind == "DELETED":
            del self.objects[key]
        else:
            self.objects[key] = kept
        self.changes.append(Change(self.version, kind, key[0], kept, before))
        self.wake()
        return kept


def _as_told(change: Change, fits: Callable[[Object], bool]) -> Change | None:
    fitted = change.before is not None and fits(change.before)
    if change.kind == "DELETED":
        return change if fitted else None
    if not fits(change.item):
        return _as_gone(change) if fitted else None
    return change if fitted else replace(change, kind="ADDED")


def _as_gone(change: Change) -> Change:
    item = _of_version(copy.deepcopy(change.before or {}), change.version)
    return replace(change, kind="DELETED", item=item)


def _of_version(item: Object, version: int) -> Object:
    item["metadata"]["resourceVersion"] = str(version)
    return item
