"""The cluster's API: plain objects in and out, by kubernetes-asyncio's transport, which knows how to sign in."""

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp

from studiolo.contract.errors import Unavailable
from studiolo.engines.kubernetes.settings import KubernetesSettings

if TYPE_CHECKING:
    from kubernetes_asyncio.client import ApiClient

Object = dict[str, Any]
_CALL_SECONDS = 10.0
_CONNECT_SECONDS = 5.0
_NOT_SIGNED_IN = 401
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


class RefusedError(Exception):
    """The API's own refusal: HTTP `status`, and what its Status object says."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message

    @property
    def is_quota(self) -> bool:
        """Whether a quota stands in the way; the same status as of a missing right."""
        return self.status == 403 and "exceeded quota" in self.message

    def as_unavailable(self) -> Unavailable:
        """Return the error for a person: which right is missing, or what else was said."""
        hint = "The log has all that the cluster says; the guide for Kubernetes tells how it is set up."
        if verb := re.search(r'cannot (\w+) resource "(\w+)"', self.message):
            hint = f"Give the platform's service account the verb {verb[1]!r} on {verb[2]} in the sessions' namespace."
            said = f"The platform may not {verb[1]} {verb[2]} in the Kubernetes cluster."
        elif self.status == _NOT_SIGNED_IN:
            said = "The Kubernetes cluster does not know the platform's account any more."
        elif self.status == 404 and "namespaces" in self.message:
            said = "The namespace for sessions is not there in the Kubernetes cluster."
            hint = "Make the namespace, or name another one in engines.kubernetes.namespace."
        else:
            said = f"The Kubernetes cluster refuses: {self.message.rstrip('.')}."
        return Unavailable("engine-unavailable", said, hint=hint, detail=f"{self.status} {self.reason}: {self.message}")


class ClusterAPI:
    """Calls to one namespace. Connects at its first call. Raises RefusedError, or Unavailable without an answer."""

    def __init__(self, settings: KubernetesSettings) -> None:
        self._settings = settings
        self._client: ApiClient | None = None
        self._connecting = asyncio.Lock()

    def path(self, resource: str, name: str = "") -> str:
        """Return the path of a kind of objects, or of one, in the namespace."""
        folder = f"{_RESOURCES[resource]}/namespaces/{self._settings.namespace}/{resource}"
        return f"{folder}/{name}" if name else folder

    async def get(self, path: str, **query: Any) -> Object:
        """Return an object, or a list object with some."""
        return await self._call("GET", path, query)

    async def list(self, path: str, *, metadata_only: bool = False, **query: Any) -> list[Object]:
        """Return all objects that the query selects."""
        accept = _METADATA.format("List") if metadata_only else None
        found = await self._call("GET", path, query, accept=accept)
        return found.get("items") or []

    async def find(self, path: str, *, metadata_only: bool = False) -> Object | None:
        """Return an object, None if there is none."""
        try:
            return await self._call("GET", path, {}, accept=_METADATA.format("") if metadata_only else None)
        except _GoneError:
            return None

    async def create(self, path: str, body: Object) -> Object:
        """Make an object. The API refuses fields that it does not know."""
        return await self._call("POST", path, {"fieldValidation": "Strict"}, body)

    async def patch(self, path: str, body: Object) -> Object:
        """Change an object by a merge patch (RFC 7386)."""
        return await self._call("PATCH", path, {}, body, content_type=_MERGE)

    async def delete(self, path: str, *, grace_seconds: int | None = None) -> None:
        """Remove an object; one that is gone is no error."""
        query = {} if grace_seconds is None else {"gracePeriodSeconds": grace_seconds}
        with contextlib.suppress(_GoneError):
            await self._call("DELETE", path, query)

    @asynccontextmanager
    async def lines(self, path: str, *, seconds: float | None, **query: Any) -> AsyncGenerator[AsyncIterator[bytes]]:
        """Give the lines of an answer as they come, once it begins; none for `seconds` means a dead connection."""
        timeout = aiohttp.ClientTimeout(sock_connect=_CONNECT_SECONDS, sock_read=seconds)
        async with self._open("GET", path, query, timeout=timeout) as response:
            yield aiter(response.content)

    async def text(self, path: str, **query: Any) -> str:
        """Return an answer that is plain text."""
        async with self._open("GET", path, query) as response:
            return (await response.read()).decode(errors="replace")

    async def aclose(self) -> None:
        """Let go of all connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

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
        async with self._open(method, path, query, body=body, headers=headers) as response:
            answer = json.loads(await response.read())
        assert isinstance(answer, dict)
        return answer

    @asynccontextmanager
    async def _open(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any],
        *,
        body: Object | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: aiohttp.ClientTimeout | None = None,
    ) -> AsyncGenerator[aiohttp.ClientResponse]:
        timeout = timeout or aiohttp.ClientTimeout(total=_CALL_SECONDS, sock_connect=_CONNECT_SECONDS)
        given = {"query_params": list(query.items()), "body": body, "_request_timeout": timeout}
        try:
            response = await self._send(method, path, {"Accept": "*/*", **(headers or {})}, given)
            if response.status == _NOT_SIGNED_IN:
                # Programs that a kubeconfig names give tokens that last for minutes.
                response.close()
                await self._sign_in_anew()
                response = await self._send(method, path, {"Accept": "*/*", **(headers or {})}, given)
            async with response:
                if response.status >= 400:
                    raise _read_refusal(response.status, await response.read())
                yield response
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as exc:
            raise _away(exc) from exc

    async def _send(
        self, method: str, path: str, headers: dict[str, str], given: Mapping[str, Any]
    ) -> aiohttp.ClientResponse:
        client = await self._connect()
        response: aiohttp.ClientResponse = await client.call_api(
            path,
            method,
            header_params=headers,
            auth_settings=["BearerToken"],
            _preload_content=False,
            **given,
        )
        return response

    async def _connect(self) -> "ApiClient":
        async with self._connecting:
            if self._client is None:
                client, configuration = await _configure(self._settings)
                self._client = client.ApiClient(configuration)
            return self._client

    async def _sign_in_anew(self) -> None:
        client = await self._connect()
        _, configuration = await _configure(self._settings)
        client.configuration.api_key = configuration.api_key


class _GoneError(RefusedError):
    """There is no such object."""


async def _configure(settings: KubernetesSettings) -> tuple[Any, Any]:
    """Return the library's module of clients, and a configuration for one."""
    # Seven hundred modules, which take a second and 60 MB: not in the event loop, and only where there is a cluster.
    client, config = await asyncio.to_thread(_import)
    configuration = client.Configuration()
    try:
        if settings.kubeconfig is None:
            config.load_incluster_config(client_configuration=configuration)
        else:
            await config.load_kube_config(
                config_file=str(settings.kubeconfig),
                context=settings.context,
                client_configuration=configuration,
                persist_config=False,
            )
    except config.ConfigException as exc:
        raise Unavailable(
            "engine-unavailable",
            "The platform cannot tell how to reach the Kubernetes cluster.",
            hint="Name a kubeconfig in engines.kubernetes.kubeconfig, or run the platform in the cluster.",
            detail=str(exc),
        ) from exc
    return client, configuration


def _import() -> tuple[Any, Any]:
    from kubernetes_asyncio import client, config

    return client, config


def _read_refusal(status: int, content: bytes) -> RefusedError:
    """Read a Status object; proxies before an API answer with other things."""
    try:
        told = json.loads(content)
        reason, message = str(told.get("reason", "")), str(told.get("message", ""))
    except (ValueError, AttributeError):
        reason, message = "", content[:200].decode(errors="replace")
    kind = _GoneError if status == 404 and reason == "NotFound" else RefusedError
    return kind(status, reason, message or f"HTTP {status}")


def _away(exc: Exception) -> Unavailable:
    return Unavailable(
        "engine-unavailable",
        "The Kubernetes cluster does not answer.",
        hint="Running sessions go on; try again in a few seconds.",
        detail=repr(exc),
    )
