"""One HTTP conversation with a platform: sends, waits, tries again where that is safe, raises our errors."""

import json
import os
import ssl
import uuid
from collections.abc import AsyncIterator, Mapping
from typing import Any, BinaryIO, TypedDict, TypeVar, Unpack
from urllib.parse import quote

import anyio
import anyio.to_thread
import httpx
from pydantic import BaseModel, TypeAdapter, ValidationError

from studiolo import __version__
from studiolo.contract.errors import InvalidInput, Unavailable
from studiolo.sdk.address import is_encrypted, is_loopback
from studiolo.sdk.credentials import Credentials
from studiolo.sdk.events import Event, read_events
from studiolo.sdk.problems import error_from, error_of, not_studiolo

Reply = TypeVar("Reply")

_PREFIX = "/api/v1"
# Seconds before the second and the third try.
_BACK_OFF = (0.1, 0.4)
_LONGEST_RETRY_AFTER = 5.0
_LONGEST_SILENCE_SECONDS = 90.0
# For what the platform does with a file after it has all of it.
_LONGEST_WORK_SECONDS = 900.0
_PIECE = 1 << 20


class Asked(TypedDict, total=False):
    """What a request may hold.

    `query`: members that are None are left out. `body`: a wire model, or text that is YAML. `wait_seconds`: how
    long the server may hold the answer; `work_seconds`: how long it may work at it unasked. `revision`: do it only if
    the thing is still at this one (If-Match).
    """

    query: Mapping[str, Any] | None
    body: BaseModel | str | None
    wait_seconds: float
    work_seconds: float
    revision: int | None


class Transport:
    """Sends requests to one platform with one key. `http` replaces the network, for tests."""

    def __init__(
        self,
        credentials: Credentials,
        *,
        timeout_seconds: float = 30.0,
        insecure: bool = False,
        http: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        url = credentials.url
        if credentials.key and not insecure:
            refuse_to_send_openly(url)
        self.credentials = credentials
        self._timeout_seconds = timeout_seconds
        headers = {"User-Agent": f"studiolo/{__version__}", "Accept": "application/json"}
        if credentials.key:
            headers["Authorization"] = f"Bearer {credentials.key}"
        self._client = httpx.AsyncClient(
            base_url=url,
            headers=headers,
            transport=http,
            verify=trust(credentials),
            # A proxy named in the environment must never see what is meant for this machine.
            trust_env=not is_loopback(url),
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def fetch(self, reply: type[Reply], method: str, path: str, **asked: Unpack[Asked]) -> Reply:
        """Send a request and return the reply's body as `reply`, a wire model or a list of them."""
        response = await self._send(method, path, asked)
        try:
            return TypeAdapter(reply).validate_json(response.content)
        except ValidationError as exc:
            raise not_studiolo(self.credentials.url) from exc

    async def fetch_text(self, method: str, path: str, **asked: Unpack[Asked]) -> str:
        """Send a request whose reply is a file, and return that as text."""
        return (await self._send(method, path, asked)).text

    async def send(self, method: str, path: str, **asked: Unpack[Asked]) -> None:
        """Send a request whose reply has no body."""
        await self._send(method, path, asked)

    async def stream(self, path: str, **asked: Unpack[Asked]) -> AsyncIterator[Event]:
        """Yield the events of a stream until the server ends it; comments that keep it open are left out.

        Raises Unavailable (`control-plane-unreachable`) when it breaks off, and what the server raises on the way.
        """
        request = self._build("GET", path, asked)
        request.headers["Accept"] = "text/event-stream"
        # Streams are silent for long; the comments of the server come more often than this.
        request.extensions["timeout"]["read"] = _LONGEST_SILENCE_SECONDS
        response = await self._exchange(request, stream=True)
        try:
            if not response.is_success:
                await response.aread()
                raise error_from(response)
            async for event in read_events(response.aiter_bytes()):
                if event.name == "problem":
                    # The status had left already when this happened.
                    raise error_of(json.loads(event.data), 500)
                yield event
        except httpx.TransportError as exc:
            raise _broken(self.credentials.url, "") from exc
        finally:
            await response.aclose()

    async def download(self, path: str, file: BinaryIO, *, query: Mapping[str, Any] | None = None) -> int:
        """Write the reply to a GET into `file` as it comes; return its bytes."""
        request = self._build("GET", path, {"query": query})
        request.headers["Accept"] = "*/*"
        request.extensions["timeout"]["read"] = _LONGEST_SILENCE_SECONDS
        response = await self._exchange(request, stream=True)
        size = 0
        try:
            if not response.is_success:
                await response.aread()
                raise error_from(response)
            async for piece in response.aiter_bytes():
                size += len(piece)
                await anyio.to_thread.run_sync(file.write, piece)
        except httpx.TransportError as exc:
            raise _broken(self.credentials.url, "") from exc
        finally:
            await response.aclose()
        return size

    async def exchange(
        self,
        method: str,
        address: str,
        *,
        headers: Mapping[str, str],
        content: bytes | AsyncIterator[bytes] | None = None,
        stream: bool = False,
        silence_seconds: float | None = _LONGEST_SILENCE_SECONDS,
    ) -> httpx.Response:
        """Send a request once to an address of this platform that is not the API's (`/files/…`).

        `stream`: the caller reads and closes the reply. `silence_seconds`: the longest wait for a byte, either way.
        Raises what the reply says, Unavailable (`control-plane-unreachable`) where the connection breaks.
        """
        timeout = httpx.Timeout(silence_seconds, connect=5.0)
        request = self._client.build_request(method, address, headers=headers, content=content, timeout=timeout)
        response = await self._exchange(request, stream=stream)
        if not response.is_success:
            await response.aread()
            await response.aclose()
            raise error_from(response)
        return response

    async def upload(self, reply: type[Reply], path: str, file: BinaryIO, *, query: Mapping[str, Any]) -> Reply:
        """Send `file` as it is read, once, by POST; return the reply's body as `reply`."""

        async def pieces() -> AsyncIterator[bytes]:
            while piece := await anyio.to_thread.run_sync(file.read, _PIECE):
                yield piece

        params = {name: value for name, value in query.items() if value is not None}
        timeout = httpx.Timeout(_LONGEST_SILENCE_SECONDS, connect=5.0, read=_LONGEST_WORK_SECONDS)
        headers = {"Content-Type": "application/zip", "Content-Length": str(os.fstat(file.fileno()).st_size)}
        request = self._client.build_request(
            "POST", _PREFIX + path, params=params, content=pieces(), headers=headers, timeout=timeout
        )
        response = _accepted(await self._exchange(request))
        try:
            return TypeAdapter(reply).validate_json(response.content)
        except ValidationError as exc:
            raise not_studiolo(self.credentials.url) from exc

    def _build(self, method: str, path: str, asked: Asked) -> httpx.Request:
        wait_seconds, body, revision = asked.get("wait_seconds", 0.0), asked.get("body"), asked.get("revision")
        params = {name: value for name, value in (asked.get("query") or {}).items() if value is not None}
        if wait_seconds > 0:
            params["wait"] = f"{wait_seconds:g}"
        headers: dict[str, str] = {}
        if isinstance(body, str):
            headers["Content-Type"] = "text/yaml; charset=utf-8"
        elif body is not None:
            headers["Content-Type"] = "application/json"
            body = body.model_dump_json(exclude_unset=True)
        if method != "GET":
            headers["Idempotency-Key"] = uuid.uuid4().hex
        if revision is not None:
            headers["If-Match"] = f'"{revision}"'
        seconds = self._timeout_seconds + wait_seconds + asked.get("work_seconds", 0.0)
        timeout = httpx.Timeout(seconds, connect=5.0)
        return self._client.build_request(
            method, _PREFIX + path, params=params, content=body, headers=headers, timeout=timeout
        )

    async def _send(self, method: str, path: str, asked: Asked) -> httpx.Response:
        """Send a request, again after a lost connection: the same key keeps a change from happening twice."""
        request = self._build(method, path, asked)
        lost = False
        for pause in _BACK_OFF:
            try:
                response = await self._exchange(request)
            except Unavailable as error:
                if error.code != "control-plane-unreachable":
                    raise
                lost = True
                await anyio.sleep(pause)
                continue
            if response.status_code == 503 and method == "GET":
                await anyio.sleep(_pause_asked_for(response) or pause)
            elif lost and response.status_code == 409 and _is_in_progress(response):
                # What the lost connection carried is still being done.
                await anyio.sleep(_pause_asked_for(response) or 1.0)
            else:
                return _accepted(response)
        return _accepted(await self._exchange(request))

    async def _exchange(self, request: httpx.Request, *, stream: bool = False) -> httpx.Response:
        """Send a request once; of a thing with a new name, also to its present address.

        Raises Unavailable (`control-plane-unreachable`, `certificate-unusable`, `timeout`).
        """
        url = self.credentials.url
        try:
            response = await self._client.send(request, stream=stream)
            if response.status_code == 308 and (moved := response.next_request) and _is_same_origin(moved, request):
                await response.aclose()
                response = await self._client.send(moved, stream=stream)
            return response
        except (httpx.ConnectError, httpx.ConnectTimeout) as exc:
            raise unreachable(url, exc) from exc
        except httpx.TimeoutException as exc:
            raise Unavailable(
                "timeout",
                f"The platform at {url} did not answer in time.",
                hint="Try again; `studiolo doctor` on its machine says whether something is wrong.",
            ) from exc
        except httpx.TransportError as exc:
            done = "" if request.method == "GET" else " What was asked may have been done all the same."
            raise _broken(url, done) from exc


def segment(reference: str, *, what: str) -> str:
    """Return a person's spelling of an id or name as one segment of a path; `owner/name` becomes `owner~name`.

    Raises InvalidInput for what would make another path of it.
    """
    text = reference.strip().strip("/").replace("/", "~")
    if text in ("", ".", ".."):
        raise InvalidInput("name-invalid", f"{reference!r} cannot name a {what}.")
    return quote(text, safe="~")


def refuse_to_send_openly(url: str) -> None:
    """Raise InvalidInput (`address-insecure`) if a key or password sent to `url` could be read on the way."""
    if not is_encrypted(url) and not is_loopback(url):
        raise InvalidInput(
            "address-insecure",
            f"A key or password sent to {url} could be read on the way, since http is not encrypted.",
            hint="Use the platform's https address, or pass --insecure if you trust the network in between.",
        )


def trust(credentials: Credentials) -> ssl.SSLContext | bool:
    """Return what a connection to a platform trusts; True: the authorities of this machine."""
    if not is_encrypted(credentials.url):
        # Loading the certificate authorities costs time that plain http does not need.
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if not (authorities := os.environ.get("STUDIOLO_CA_FILE") or credentials.authority):
        return True
    try:
        return ssl.create_default_context(cafile=authorities)
    except (OSError, ssl.SSLError) as exc:
        raise InvalidInput(
            "certificate-unusable",
            f"The certificates in {authorities} cannot be used: {exc}.",
            hint="STUDIOLO_CA_FILE names a PEM file with the authority that signed the platform's certificate.",
        ) from exc


def is_distrusted(cause: Exception) -> bool:
    """Tell whether a connection failed because this machine does not trust the other side's certificate."""
    return "CERTIFICATE_VERIFY_FAILED" in str(cause)


def _accepted(response: httpx.Response) -> httpx.Response:
    if response.is_success:
        return response
    raise error_from(response)


def _is_in_progress(response: httpx.Response) -> bool:
    return error_from(response).code == "request-in-progress"


def _is_same_origin(moved: httpx.Request, request: httpx.Request) -> bool:
    """Tell whether a redirect stays on the platform: neither key nor body may follow it elsewhere."""
    return (moved.url.scheme, moved.url.netloc) == (request.url.scheme, request.url.netloc)


def _broken(url: str, done: str) -> Unavailable:
    return Unavailable(
        "control-plane-unreachable",
        f"The connection to {url} broke before the answer came.{done}",
        hint="Try again in a moment.",
    )


def _pause_asked_for(response: httpx.Response) -> float | None:
    asked = response.headers.get("Retry-After", "")
    return min(float(asked), _LONGEST_RETRY_AFTER) if asked.isdigit() else None


def unreachable(url: str, cause: Exception) -> Unavailable:
    """Return the error for an address at which nothing answers, or nothing that this machine trusts."""
    if is_distrusted(cause):
        return Unavailable(
            "certificate-unusable",
            f"The certificate of {url} is not signed by an authority that this machine trusts.",
            hint="Set STUDIOLO_CA_FILE to the PEM file of the authority that signed it.",
            detail=str(cause),
        )
    start = "start it with `studiolo up`, or " if is_loopback(url) else ""
    return Unavailable(
        "control-plane-unreachable",
        f"Nothing answers at {url}.",
        hint=f"If the platform is down, {start}name another address with STUDIOLO_URL or --url.",
        detail=str(cause),
    )
