"""How launches ended whose pods are gone: on a launch's Secret, which stays until the session is forgotten."""

import json
from datetime import UTC, datetime

from studiolo.engines.base import Exit
from studiolo.engines.kubernetes import names
from studiolo.engines.kubernetes.api import ClusterAPI, Object

Key = tuple[str, int]


class Endings:
    """Reads and writes ends; the first that is written stays. Remembers those that it has read."""

    def __init__(self, api: ClusterAPI) -> None:
        self._api = api
        self._known: dict[Key, Exit] = {}

    async def write(self, key: Key, ended: Exit) -> None:
        """Write how a launch ends, before its pod is removed, and take away its request. Nothing if it never was."""
        found = await self._find(key)
        if found is None or read_end(found) is not None:
            return
        told = {"reason": ended.reason, "message": ended.message, "at": ended.at.isoformat(), "code": ended.code}
        told |= {"signal": ended.signal, "memory_limit": ended.memory_limit}
        change = {"metadata": {"annotations": {names.ENDED: json.dumps(told)}}, "data": None}
        await self._api.patch(self._api.path("secrets", names.secret_name(*key)), change)

    async def find(self, key: Key) -> Exit | None:
        """Return how a launch ended, None if nothing was written."""
        if key not in self._known:
            found = await self._find(key)
            ended = read_end(found) if found else _never_was()
            if found is None or ended is None:
                return ended
            self._known[key] = ended
        return self._known[key]

    def forget(self, workload_id: str) -> None:
        """Drop what is remembered of a workload."""
        self._known = {key: ended for key, ended in self._known.items() if key[0] != workload_id}

    async def _find(self, key: Key) -> Object | None:
        return await self._api.find(self._api.path("secrets", names.secret_name(*key)), metadata_only=True)


def read_end(secret: Object) -> Exit | None:
    """Return what a launch's Secret says of its end."""
    metadata = secret["metadata"]
    text = (metadata.get("annotations") or {}).get(names.ENDED)
    if text is None:
        return None
    try:
        told = json.loads(text)
        return Exit(**{**told, "at": datetime.fromisoformat(told["at"])})
    except (KeyError, TypeError, ValueError):
        return Exit("vanished", "Somebody has overwritten in the cluster how the session ended.", datetime.now(UTC))


def _never_was() -> Exit:
    return Exit("vanished", "Nothing is known of this launch in the cluster.", datetime.now(UTC))
