"""Objects of a cluster, with their versions and what changed since each of them."""

import asyncio
import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Change:
    """One change. `kind`: ADDED, MODIFIED or DELETED; `item`: the object as it was after it."""

    version: int
    kind: str
    resource: str
    item: Object


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
        if self.objects.pop(key, None) is not None:
            self._note("DELETED", key, item)

    def compact(self) -> None:
        """Forget all changes: a watch from an earlier version is answered 410."""
        self.compacted = self.version
        self.changes.clear()

    def since(self, version: int, wanted: Callable[[Change], bool]) -> list[Change]:
        """Return the changes after a version that are wanted."""
        return [change for change in self.changes if change.version > version and wanted(change)]

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
        kept = copy.deepcopy(item)
        kept["metadata"]["resourceVersion"] = str(self.version)
        if kind != "DELETED":
            self.objects[key] = kept
        self.changes.append(Change(self.version, kind, key[0], kept))
        self.wake()
        return kept
