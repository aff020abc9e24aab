"""The cluster's API: plain objects in and out, of one namespace."""

import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import aiohttp

from studiolo.engines.kubernetes.connection import CONNECT_SECONDS, Connection, read, split
from studiolo.engines.kubernetes.refusals import GoneError, RefusedError, unreadable
from studiolo.engines.kubernetes.settings import KubernetesSettings

__all__ = ["ClusterAPI", "Object", "RefusedError"]

Object = dict[str, Any]
PAGE = 250
# No cluster that keeps to its own limits has as many pods.
_MOST_PAGES = 1000
# Twice what a cluster stores as one object.
_MOST_LINE = 4 << 20
_MERGE = "application/merge-patch+json"
# Without what a Secret holds.
_METADATA = "application/json;as=PartialObjectMetadata{};g=meta.k8s.io;v=v1"
_RESOURCES = {
    "pods": "/api/v1",
    "secrets": "/api/v1",
    "events": "/api/v1",
    "persistentvolumeclaims": "/api/v1",
    "resourcequotas": "/api/v1",
    "networkpolicies": "/apis/networking.k8s.io/v1",
}


class ClusterAPI:
    """Calls to one namespace. Raises RefusedError, or Unavailable without an answer that can be read."""

    def __init__(self, settings: KubernetesSettings) -> None:
        self._namespace = settings.namespace
        self._connection = Connection(settings)

    def now(self) -> datetime:
        """Return the time as the cluster's clock has it: with it go the times in its objects."""
        return self._connection.now()

    def path(self, resource: str, name: str = "") -> str:
        """Return the path of a kind of objects, or of one, in the namespace."""
        folder = f"{_RESOURCES[resource]}/namespaces/{self._namespace}/{resource}"
        return f"{folder}/{name}" if name else folder

    async def pages(self, path: str, *, metadata_only: bool = False, **query: Any) -> AsyncGenerator[Object]:
        """Yield the list objects that together hold all objects which the query selects.

        Raises RefusedError 410 when the server has forgotten the list before its end was asked for.
        """
        accept = _METADATA.format("List") if metadata_only else None
        place: str | None = None
        for _ in range(_MOST_PAGES):
            asked = {**query, "limit": PAGE, **({"continue": place} if place else {})}
            page = await self._call("GET", path, asked, accept=accept)
            yield page
            place = _metadata(page).get("continue")
            if not place:
                return
        raise unreadable(f"a list of {path} without an end")

    async def list(self, path: str, *, metadata_only: bool = False, **query: Any) -> list[Object]:
        """Return all objects that the query selects."""
        pages = self.pages(path, metadata_only=metadata_only, **query)
        return [_check(item) async for page in pages for item in items_of(page)]

    async def find(self, path: str, *, metadata_only: bool = False) -> Object | None:
        """Return an object, None if there is none."""
        try:
            return _check(await self._call("GET", path, {}, accept=_METADATA.format("") if metadata_only else None))
        except GoneError:
            return None

    async def create(self, path: str, body: Object) -> Object:
        """Make an object. The API refuses fields that it does not know."""
        return _check(await self._call("POST", path, {"fieldValidation": "Strict"}, body))

    async def patch(self, path: str, body: Object) -> Object:
        """Change an object by a merge patch (RFC 7386)."""
        return _check(await self._call("PATCH", path, {}, body, content_type=_MERGE))

    async def delete(self, path: str, *, grace_seconds: int | None = None) -> None:
        """Remove an object; one that is gone is no error."""
        query = {} if grace_seconds is None else {"gracePeriodSeconds": grace_seconds}
        with contextlib.suppress(GoneError):
            await self._call("DELETE", path, query)

    @asynccontextmanager
    async def lines(self, path: str, *, seconds: float | None, **query: Any) -> AsyncGenerator[AsyncIterator[bytes]]:
        """Give the lines of an answer as they come, once it begins; none for `seconds` means a dead connection."""
        timeout = aiohttp.ClientTimeout(sock_connect=CONNECT_SECONDS, sock_read=seconds)
        async with self._connection.open("GET", path, query, timeout=timeout) as response:
            yield split(response, most=_MOST_LINE)

    async def aclose(self) -> None:
        """Let go of all connections."""
        await self._connection.aclose()

    async def _call(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any],
        body: Object | None = None,
        *,
        accept: str | None = None,
        content_type: str = "application/json",
    ) -> Object:
        headers = {"Content-Type": content_type, "Accept": accept or "application/json"}
        async with self._connection.open(method, path, query, body=body, headers=headers) as response:
            content = await read(response)
        return read_object(content)


def read_object(content: bytes) -> Object:
    """Read a JSON object. Raises Unavailable for anything else."""
    try:
        answer = json.loads(content)
    except (ValueError, RecursionError) as exc:
        raise unreadable(f"{exc!r}: {content[:100]!r}") from exc
    if not isinstance(answer, dict):
        raise unreadable(repr(answer))
    return answer


def items_of(page: Object) -> list[Object]:
    """Return the objects of a list object. Raises Unavailable for one that is none."""
    items = page.get("items") or []
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise unreadable("a list whose items are none")
    return items


def _check(item: Object) -> Object:
    """Return an object that says what it is. Raises Unavailable for one that does not."""
    metadata = _metadata(item)
    words = [metadata.get(name) or {} for name in ("labels", "annotations")]
    if not isinstance(metadata.get("name"), str) or not all(isinstance(some, dict) for some in words):
        raise unreadable(repr(metadata))
    return item


def _metadata(item: Object) -> Object:
    metadata = item.get("metadata")
    if not isinstance(metadata, dict):
        raise unreadable("an object without metadata")
    return metadata
