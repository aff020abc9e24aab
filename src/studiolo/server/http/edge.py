"""The outermost ASGI layer: Host, size, request id, security headers, and no trace to anybody."""

import re
import secrets
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import structlog
from prometheus_client import Histogram

from studiolo.contract.errors import InvalidInput, StudioloError
from studiolo.server.http.hosts import HostKind, Hosts
from studiolo.server.http.problems import bare_page, fault, problem

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

_log = structlog.get_logger(__name__)
MAX_BODY_BYTES = 1 << 20
# Their bodies are files: they are written to the disk as they come, and counted there.
_LONG = ("/api/v1/jupyter/workspaces/import", "/workspaces/import")
# As the front door makes them: a UUID.
_REQUEST_ID = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# 'self' in connect-src includes our websocket in current browsers; ws: is named for older ones by scheme.
_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; frame-src 'self'; form-action 'self' {sessions}; frame-ancestors 'none'; base-uri 'none'; "
    "worker-src 'self'; manifest-src 'self'"
)


class Edge:
    """Wraps the application. Answers 421 to unknown Hosts and 413 to bodies over the limit."""

    def __init__(self, app: ASGIApp, hosts: Hosts, requests: Histogram) -> None:
        self._app = app
        self._requests = requests
        self._hosts = hosts
        sessions = hosts.session_origin("*") if not hosts.is_single_team else ""
        self._headers = [
            (b"content-security-policy", _CSP.format(sessions=sessions).encode()),
            (b"x-content-type-options", b"nosniff"),
            # Stricter would make browsers send `Origin: null` with our own forms.
            (b"referrer-policy", b"same-origin"),
            (b"x-frame-options", b"DENY"),
            (b"cross-origin-opener-policy", b"same-origin"),
            (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or websocket."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        scope["request_id"] = _request_id(headers.get(b"x-request-id", b""))
        host = self._hosts.classify(headers.get(b"host", b"").decode("latin-1"))
        if host.kind is HostKind.UNKNOWN:
            await self._refuse_host(scope, receive, send, headers)
            return
        scope["studiolo_host"] = host
        if scope["type"] == "websocket":
            await self._app(scope, receive, send)
            return
        # `owner%2Fname` stands for one reference; as `~` it is one segment of the path.
        if b"%2f" in scope["raw_path"].lower():
            scope["path"] = scope["raw_path"].replace(b"%2F", b"~").replace(b"%2f", b"~").decode("latin-1")
        await self._serve(scope, receive, send, headers)

    async def _serve(self, scope: Scope, receive: Receive, send: Send, headers: dict[bytes, bytes]) -> None:
        started = False
        status, began = 0, time.perf_counter()
        request_id = scope["request_id"]

        async def send_with_headers(message: Message) -> None:
            nonlocal started, status
            if message["type"] == "http.response.start":
                started, status = True, message["status"]
                own = {name for name, _ in message.get("headers", [])}
                extra = [(name, value) for name, value in self._headers if name not in own]
                if b"cache-control" not in own:
                    extra.append((b"cache-control", b"no-store"))
                extra.append((b"x-request-id", request_id.encode()))
                message["headers"] = [*message.get("headers", []), *extra]
            await send(message)

        declared = headers.get(b"content-length", b"0")
        is_bounded = scope["path"] not in _LONG or b"idempotency-key" in headers
        if not declared.isdigit() or (is_bounded and int(declared) > MAX_BODY_BYTES):
            await problem(_too_large(), request_id)(scope, receive, send_with_headers)
            return
        if b"%00" in scope["raw_path"] or b"%00" in scope["query_string"]:
            error = InvalidInput("request-invalid", "The address has a NUL byte, which nothing here has in its name.")
            await problem(error, request_id)(scope, receive, send_with_headers)
            return
        try:
            with structlog.contextvars.bound_contextvars(request_id=request_id):
                await self._app(scope, _bounded(receive) if is_bounded else receive, send_with_headers)
        except StudioloError as exc:
            if started:
                raise
            await problem(exc, request_id)(scope, receive, send_with_headers)
        except Exception:
            _log.exception("request-failed", method=scope["method"], path=scope["path"][:256])
            if not started:
                await problem(fault(request_id), request_id)(scope, receive, send_with_headers)
        finally:
            # By the function that answered: an address may hold what nobody should count by.
            handler = getattr(scope.get("endpoint"), "__name__", "none")
            self._requests.labels(scope["method"], handler, status).observe(time.perf_counter() - began)

    async def _refuse_host(self, scope: Scope, receive: Receive, send: Send, headers: dict[bytes, bytes]) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        shown = headers.get(b"host", b"").decode("latin-1")[:100]
        error = InvalidInput(
            "host-unknown",
            f"This platform does not answer to the name {shown!r}.",
            hint=f"Use {self._hosts.address}, or add the name to the setting `hostnames`.",
        )
        is_browser = b"text/html" in headers.get(b"accept", b"")
        reply = (bare_page if is_browser else problem)(error, scope["request_id"])
        await reply(scope, receive, send)


def _request_id(given: bytes) -> str:
    """Return the id that the front door gave the request, by which all logs name it; nobody else's is taken."""
    return given.decode() if _REQUEST_ID.fullmatch(given) else secrets.token_hex(6)


def _bounded(receive: Receive) -> Receive:
    seen = 0

    async def bounded() -> Message:
        nonlocal seen
        message = await receive()
        if message["type"] == "http.request":
            seen += len(message.get("body", b""))
            if seen > MAX_BODY_BYTES:
                raise _too_large()
        return message

    return bounded


def _too_large() -> InvalidInput:
    return InvalidInput(
        "request-too-large", f"The body is larger than {MAX_BODY_BYTES // 1024} KiB, which is the limit here."
    )
