"""The way to the cluster's API: kubernetes-asyncio's transport, which knows how to sign in, and manners beside it."""

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import aiohttp

from studiolo.contract.errors import Unavailable
from studiolo.engines.kubernetes.refusals import NOT_SIGNED_IN, TOO_MANY, RefusedError, away, read_refusal, unreadable
from studiolo.engines.kubernetes.settings import KubernetesSettings

if TYPE_CHECKING:
    from kubernetes_asyncio.client import ApiClient

_CALL_SECONDS = 10.0
CONNECT_SECONDS = 5.0
# A server that asks for a longer pause than that gets it from whoever asks again later.
_PATIENCE_SECONDS = 6.0
_LONGEST_PAUSE = 60.0
# A list of 250 pods is a hundredth of that.
_MOST_BYTES = 256 << 20
_MOST_REFUSAL = 64 << 10


class Connection:
    """Asks one cluster. Connects at the first call.

    A server that is busy (429, or 5xx with a Retry-After) is left alone by all calls for as long as it says.
    """

    def __init__(self, settings: KubernetesSettings) -> None:
        self._settings = settings
        self._client: ApiClient | None = None
        self._connecting = asyncio.Lock()
        self._quiet_until = 0.0
        self._ahead = timedelta()

    def now(self) -> datetime:
        """Return the time as the cluster's clock has it, to about a second."""
        return datetime.now(UTC) + self._ahead

    @asynccontextmanager
    async def open(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any],
        *,
        body: dict[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: aiohttp.ClientTimeout | None = None,
    ) -> AsyncGenerator[aiohttp.ClientResponse]:
        """Give the answer to a request. Raises RefusedError, or Unavailable (`engine-unavailable`) without one."""
        timeout = timeout or aiohttp.ClientTimeout(total=_CALL_SECONDS, sock_connect=CONNECT_SECONDS)
        given = {"query_params": list(query.items()), "body": body, "_request_timeout": timeout}
        try:
            async with await self._ask(method, path, {"Accept": "*/*", **(headers or {})}, given) as response:
                if response.status >= 400:
                    raise read_refusal(response.status, await read(response, most=_MOST_REFUSAL))
                yield response
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as exc:
            raise away(exc) from exc

    async def aclose(self) -> None:
        """Let go of all connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def _ask(
        self, method: str, path: str, headers: dict[str, str], given: Mapping[str, Any]
    ) -> aiohttp.ClientResponse:
        """Return an answer, after another try where the server was busy or our token had expired."""
        loop = asyncio.get_running_loop()
        give_up_at, is_anew = loop.time() + _PATIENCE_SECONDS, False
        while True:
            await self._wait_for_quiet(give_up_at)
            response = await self._send(method, path, headers, given)
            self._set_clock(response)
            if response.status == NOT_SIGNED_IN and not is_anew:
                # Programs that a kubeconfig names give tokens that last for minutes.
                is_anew = True
                response.close()
                await self._sign_in_anew()
                continue
            pause = _pause_asked(response)
            if pause is None:
                return response
            self._quiet_until = max(self._quiet_until, loop.time() + pause)
            if self._quiet_until > give_up_at:
                return response
            response.close()

    async def _wait_for_quiet(self, give_up_at: float) -> None:
        loop = asyncio.get_running_loop()
        if self._quiet_until <= loop.time():
            return
        if self._quiet_until > give_up_at:
            raise RefusedError(TOO_MANY, "TooManyRequests", "the server asked for a pause that is not over")
        # Not all at once when it is over.
        await asyncio.sleep((self._quiet_until - loop.time()) * random.uniform(1.0, 1.2))  # noqa: S311

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

    def _set_clock(self, response: aiohttp.ClientResponse) -> None:
        with suppress(TypeError, ValueError):
            told = parsedate_to_datetime(response.headers.get("Date", ""))
            self._ahead = told.astimezone(UTC) - datetime.now(UTC)

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


async def read(response: aiohttp.ClientResponse, *, most: int = _MOST_BYTES) -> bytes:
    """Return the whole of an answer. Raises Unavailable for one of more than `most` bytes."""
    parts = bytearray()
    async for part in response.content.iter_any():
        parts += part
        if len(parts) > most:
            raise unreadable(f"more than {most} bytes")
    return bytes(parts)


async def split(response: aiohttp.ClientResponse, *, most: int) -> AsyncIterator[bytes]:
    """Yield the lines of an answer as they come, without their ends; of one of more than `most` bytes the beginning."""
    line = bytearray()
    async for part in response.content.iter_any():
        *ended, rest = part.split(b"\n")
        for end in ended:
            yield bytes(line + end[: most - len(line)])
            line.clear()
        line += rest[: most - len(line)]
    if line:
        yield bytes(line)


def _pause_asked(response: aiohttp.ClientResponse) -> float | None:
    """Return for how many seconds a busy server wants to be left alone; None if it is not busy, or does not say so."""
    told = response.headers.get("Retry-After", "")
    if response.status == TOO_MANY or (response.status >= 500 and told):
        return min(float(told), _LONGEST_PAUSE) if told.isascii() and told.isdigit() else 1.0
    return None


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
