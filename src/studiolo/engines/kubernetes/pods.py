"""All pods of this platform, known from one watch."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from studiolo.engines.base import Exit
from studiolo.engines.kubernetes import names
from studiolo.engines.kubernetes.api import ClusterAPI, Object
from studiolo.engines.kubernetes.following import Follower
from studiolo.engines.kubernetes.records import Record, explain_removal, read

Key = tuple[str, int]
_SHRUNK = "record"


class Pods:
    """A record of each pod, by its launch. `removed` holds how pods ended that are gone and told it."""

    def __init__(self, api: ClusterAPI, instance: str) -> None:
        self._records: dict[Key, Record] = {}
        self._watchers: dict[Key, set[asyncio.Event]] = {}
        self.removed: dict[Key, Exit] = {}
        query = {"labelSelector": f"{names.INSTANCE}={instance},{names.WORKLOAD}"}
        self.follower = Follower(api, api.path("pods"), query, self)

    def __len__(self) -> int:
        return len(self._records)

    def find(self, key: Key) -> Record | None:
        """Return what is known of a launch's pod, None if there is none."""
        return self._records.get(key)

    def find_name(self, name: str) -> Record | None:
        """Return what is known of the pod of that name, as events call it."""
        key = self._key(name)
        return self._records.get(key) if key else None

    def take(self, pod: Object) -> Record | None:
        """Take a pod as the API has just shown it; an older view of one that is known changes nothing."""
        record = read(pod)
        if record is None:
            return None
        known = self._records.get(record.key)
        if known is None or known.version <= record.version:
            self._records[record.key] = record
            self.tell(record.key)
        return self._records[record.key]

    def forget(self, workload_id: str) -> None:
        """Drop what is remembered of the ended launches of a workload."""
        for key in [key for key in self.removed if key[0] == workload_id]:
            del self.removed[key]

    def tell(self, key: Key) -> None:
        """Wake whoever watches the launch."""
        for event in self._watchers.get(key, ()):
            event.set()

    async def watch(self, key: Key) -> AsyncGenerator[None]:
        """Yield each time something of the launch's pod may have changed."""
        event = asyncio.Event()
        self._watchers.setdefault(key, set()).add(event)
        try:
            while True:
                yield
                await event.wait()
                event.clear()
        finally:
            watchers = self._watchers[key]
            watchers.discard(event)
            if not watchers:
                del self._watchers[key]

    def listed(self, objects: list[Object], version: str) -> None:
        """See Keeps.listed. A pod made after the list was drawn up stays."""
        there = {item[_SHRUNK].key: item[_SHRUNK] for item in objects if item}
        newer = {key: record for key, record in self._records.items() if record.version > int(version or 0)}
        for record in [record for key, record in self._records.items() if key not in there and key not in newer]:
            self._remove(record)
        self._records = there | newer
        for key in list(self._watchers):
            self.tell(key)

    def changed(self, kind: str, item: Object) -> None:
        """See Keeps.changed."""
        if kind != "DELETED":
            self.take(item)
        elif (record := read(item)) is not None:
            known = self._records.pop(record.key, record)
            # What ended by itself was only tidied away.
            self._remove(known if known.has_ended else record)
            self.tell(record.key)

    def shrink(self, item: Object) -> Object:
        """See Keeps.shrink."""
        record = read(item)
        return {_SHRUNK: record} if record else {}

    def _remove(self, record: Record) -> None:
        if (ended := explain_removal(record)) is not None:
            self.removed[record.key] = ended

    @staticmethod
    def _key(name: str) -> Key | None:
        parts = name.rsplit("-", 3)
        return (f"{parts[-3]}-{parts[-2]}", int(parts[-1])) if len(parts) == 4 and parts[-1].isdigit() else None


class News:
    """What the cluster tells of pods that do not run yet, from one watch of its events: the last of each, in words."""

    def __init__(self, api: ClusterAPI, pods: Pods) -> None:
        self._pods = pods
        self._told: dict[str, str] = {}
        self.follower = Follower(api, api.path("events"), {"fieldSelector": "involvedObject.kind=Pod"}, self)

    def of(self, record: Record) -> str:
        """Return what was told last of a pod, a sentence, or nothing."""
        return self._told.get(record.name, "")

    def drop(self, record: Record) -> None:
        """Forget what was told of a pod: it runs."""
        self._told.pop(record.name, None)

    def listed(self, objects: list[Object], version: str) -> None:
        """See Keeps.listed. Old events stay: that they expire says nothing."""
        for item in objects:
            self.changed("ADDED", item)

    def changed(self, kind: str, item: Object) -> None:
        """See Keeps.changed."""
        name = item.get("involvedObject", {}).get("name", "")
        said = _SAID.get(item.get("reason", ""))
        if kind == "DELETED" or said is None or not name.startswith("jupyter-"):
            return
        record = self._pods.find_name(name)
        if record is not None and record.phase != "Pending":
            return
        text = " ".join(str(item.get("message", "")).split())[:300].rstrip(".")
        # Bounded: events also come for pods of other platforms in the namespace.
        while len(self._told) >= _MOST_NEWS:
            del self._told[next(iter(self._told))]
        self._told.pop(name, None)
        self._told[name] = said.format(text)
        if record is not None:
            self._pods.tell(record.key)

    def shrink(self, item: Object) -> Object:
        """See Keeps.shrink."""
        kept: dict[str, Any] = {name: item.get(name) for name in ("reason", "message")}
        return {**kept, "involvedObject": {"name": item.get("involvedObject", {}).get("name", "")}}


_MOST_NEWS = 2000
_SAID = {
    "FailedScheduling": "Waiting for a place in the cluster: {}.",
    "TriggeredScaleUp": "The cluster gets another node for the session.",
    "NotTriggerScaleUp": "Waiting for a place in the cluster, which does not grow: {}.",
    "Scheduled": "A node was found.",
    "Pulling": "Pulling the image.",
    "Pulled": "The image is there.",
    "FailedMount": "The workspace's volume cannot be mounted yet: {}.",
    "FailedAttachVolume": "The workspace's volume cannot be attached yet: {}.",
    "FailedCreatePodSandBox": "The node cannot make the pod yet: {}.",
    "Failed": "The node tries again: {}.",
}
