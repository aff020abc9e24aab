"""All pods of this platform, known from one watch."""

import asyncio
from collections.abc import AsyncGenerator

from studiolo.engines.base import Exit
from studiolo.engines.kubernetes import names
from studiolo.engines.kubernetes.api import ClusterAPI, Object
from studiolo.engines.kubernetes.explaining import explain_removal
from studiolo.engines.kubernetes.following import Follower
from studiolo.engines.kubernetes.records import Record, read

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

    def list_all(self) -> list[Record]:
        """Return what is known of all pods."""
        return list(self._records.values())

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
