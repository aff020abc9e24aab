"""Carrying many bytes: by the standard library in a thread, for a fifth of the processor's time that httpx takes."""

import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any, TypeVar

import anyio
import httpx

from studiolo.contract.errors import StudioloError, Unavailable
from studiolo.sdk.address import is_loopback
from studiolo.sdk.problems import error_from
from studiolo.sdk.transport import Transport, trust, unreachable

Result = TypeVar("Result")

_PIECE = 1 << 20
_SILENCE_SECONDS = 90.0
_CONNECT_SECONDS = 5.0


async def fetch(
    transport: Transport, address: str, headers: Mapping[str, str], take: Callable[[memoryview], None]
) -> None:
    """Send a GET and give its bytes to `take`, in a thread, as they come; each view holds until `take` returns.

    Raises what the reply says, Unavailable (`control-plane-unreachable`) where the connection breaks, and what `take`
    raises.
    """
    stop = threading.Event()

    def work() -> None:
        buffer = memoryview(bytearray(_PIECE))
        with _asked(transport, "GET", address, headers, None, _SILENCE_SECONDS) as reply:
            while not stop.is_set() and (size := reply.readinto(buffer)):
                take(buffer[:size])

    await _in_thread(work, stop)


async def send(
    transport: Transport,
    method: str,
    address: str,
    headers: Mapping[str, str],
    pieces: Iterable[memoryview],
    size: int,
    *,
    silence_seconds: float,
) -> Mapping[str, str]:
    """Send `size` bytes, in a thread, and return the headers of the reply; each piece is done with before the next.

    `silence_seconds`: the longest wait for a byte, either way. Raises as `fetch`, and what `pieces` raises.
    """
    stop, unread = threading.Event(), list[OSError]()
    given = {**headers, "Content-Length": str(size)}

    def until_stopped() -> Iterator[memoryview]:
        try:
            for piece in pieces:
                if stop.is_set():
                    # Nobody waits for it: the connection ends in the middle, which the other side understands.
                    raise ConnectionAbortedError("given up")
                yield piece
        except OSError as exc:
            # The file's, not the connection's.
            unread.append(exc)
            raise

    def work() -> Mapping[str, str]:
        try:
            with _asked(transport, method, address, given, until_stopped(), silence_seconds) as reply:
                reply.read()
                return httpx.Headers(reply.getheaders())
        except Unavailable as exc:
            raise unread[0] if unread else exc from None

    return await _in_thread(work, stop)


async def _in_thread(work: Callable[[], Result], stop: threading.Event) -> Result:
    try:
        return await anyio.to_thread.run_sync(work, abandon_on_cancel=True)
    finally:
        stop.set()


@contextmanager
def _asked(
    transport: Transport,
    method: str,
    address: str,
    headers: Mapping[str, str],
    body: Iterator[memoryview] | None,
    silence_seconds: float,
) -> Iterator[HTTPResponse]:
    credentials = transport.credentials
    url = f"{credentials.url}{address}"
    content: Any = body
    request = urllib.request.Request(url, content, dict(headers), method=method)  # noqa: S310 checked address
    if credentials.key:
        request.add_unredirected_header("Authorization", f"Bearer {credentials.key}")
    trusted = trust(credentials)
    context = trusted if isinstance(trusted, ssl.SSLContext) else None
    # A proxy named in the environment must never see what is meant for this machine.
    proxies: dict[str, str] | None = {} if is_loopback(credentials.url) else None
    opener = urllib.request.build_opener(urllib.request.ProxyHandler(proxies), _Plain(), _Encrypted(context=context))
    try:
        with opener.open(request, timeout=silence_seconds) as reply:
            yield reply
    except urllib.error.HTTPError as exc:
        with exc:
            raise _refusal(exc) from exc
    except (urllib.error.URLError, HTTPException, TimeoutError, ConnectionError, ssl.SSLError) as exc:
        raise unreachable(credentials.url, exc) from exc


class _Hears(HTTPConnection):
    """A connection on which the other side may answer before it has been sent everything: a refusal is read then."""

    _is_refused = False

    def connect(self) -> None:
        silence, self.timeout = self.timeout, _CONNECT_SECONDS
        super().connect()
        self.sock.settimeout(silence)

    def send(self, data: Any) -> None:
        was_open = self.sock is not None
        if self._is_refused:
            return
        try:
            super().send(data)
        except (BrokenPipeError, ConnectionResetError):
            if not was_open:
                raise
            self._is_refused = True


class _HearsEncrypted(_Hears, HTTPSConnection):
    pass


class _Plain(urllib.request.HTTPHandler):
    def http_open(self, req: urllib.request.Request) -> HTTPResponse:
        return self.do_open(_Hears, req)


class _Encrypted(urllib.request.HTTPSHandler):
    def https_open(self, req: urllib.request.Request) -> HTTPResponse:
        return self.do_open(_HearsEncrypted, req, context=self._context)  # type: ignore[attr-defined]


def _refusal(reply: urllib.error.HTTPError) -> StudioloError:
    try:
        content = reply.read()
    except (OSError, HTTPException):
        return Unavailable("control-plane-unreachable", "The connection broke before the answer came.")
    request = httpx.Request("GET", reply.url)
    return error_from(httpx.Response(reply.code, headers=dict(reply.headers), content=content, request=request))
