"""Asking channels: nothing else is reached, and a public channel leads nowhere inside."""

import functools
import ipaddress
import os
import socket
import ssl
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from studiolo.kit.egress import is_outside
from studiolo.packages.index.channels import Channel

# No bound on the whole: files may be large, and wait for each other.
_TIMES = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=30)
_MOST_CONNECTIONS = 32
_LONGEST_LINE = 16 << 10
# Where pip, uv and requests are told of an own authority, each by its own name; OpenSSL reads SSL_CERT_FILE itself.
_AUTHORITIES = ("PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def channel_session(channel: Channel) -> aiohttp.ClientSession:
    """Return a client for one channel and the files that its pages name; close it."""
    host = (urlsplit(channel.url).hostname or "").lower()
    proxied = bool({"http", "https", "all"} & getproxies().keys()) and host not in ("localhost", "127.0.0.1", "::1")
    # A proxy of the operator's resolves names itself, and has rules of its own.
    resolver = ThreadedResolver() if proxied else _Guarded(host)
    connector = aiohttp.TCPConnector(limit=_MOST_CONNECTIONS, resolver=resolver, ssl=_authorities())
    return aiohttp.ClientSession(
        connector=connector,
        timeout=_TIMES,
        trust_env=proxied,
        max_line_size=_LONGEST_LINE,
        max_field_size=_LONGEST_LINE,
        middlewares=(_looking_where(channel),),
    )


def _looking_where(channel: Channel) -> aiohttp.ClientMiddlewareType:
    """Look at each request, also those that an answer leads to: who asks is shown to the channel's own host alone."""
    own = URL(channel.url).origin()

    async def sign(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        if not may_ask(channel, request.url):
            raise aiohttp.ClientConnectionError(f"{request.url.host} lies inside, where a public channel must not lead")
        if channel.authorization and request.url.origin() == own:
            request.headers["Authorization"] = channel.authorization
        return await handler(request)

    return sign


class _Guarded(AbstractResolver):
    """Resolves the channel's own host, and others only to outside addresses; unless the channel itself lies inside.

    Then it is the operator's, who says by its pages where its files are.
    """

    def __init__(self, own: str) -> None:
        self._own = own
        self._names = ThreadedResolver()
        self._is_inside: bool | None = None

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._names.resolve(host, port, family)
        if host.lower() != self._own and not await self._own_is_inside():
            found = [one for one in found if is_outside(one["host"])]
            if not found:
                raise OSError(None, f"{host} lies inside, where a public channel must not lead")
        return found

    async def close(self) -> None:
        await self._names.close()

    async def _own_is_inside(self) -> bool:
        if self._is_inside is None:
            self._is_inside = not all(is_outside(a) for a in await self._own_addresses())
        return self._is_inside

    async def _own_addresses(self) -> list[str]:
        if _is_address(self._own):
            return [self._own]
        return [one["host"] for one in await self._names.resolve(self._own, 0, socket.AF_UNSPEC)]


def may_ask(channel: Channel, url: URL) -> bool:
    """Tell whether a channel may lead to that address as far as its host is a bare one: those are not resolved."""
    own, host = URL(channel.url).host or "", url.host or ""
    return not _is_address(host) or is_outside(host) or host == own or (_is_address(own) and not is_outside(own))


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


@functools.cache
def _authorities() -> ssl.SSLContext:
    context = ssl.create_default_context()
    # To read the usual bundle takes a tenth of a second, and often all names mean the same.
    for named in {os.environ.get(name) for name in _AUTHORITIES} - {None, "", os.environ.get("SSL_CERT_FILE")}:
        path = Path(str(named))
        if path.is_dir():
            context.load_verify_locations(capath=path)
        elif path.is_file():
            context.load_verify_locations(cafile=path)
    return context
