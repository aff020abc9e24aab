"""What a client asked, as the front door tells it to the control plane."""

from collections.abc import Mapping
from dataclasses import dataclass

from studiolo.kit.crypto import has_valid_checksum
from studiolo.server.http.hosts import Host, Hosts
from studiolo.server.http.identity import CookieNames, bearer, cookie_value
from studiolo.server.kernels.places import is_of_session


@dataclass(frozen=True, slots=True)
class Question:
    """What the client asked, from Caddy's own headers."""

    method: str
    path: str
    query: str
    host: Host
    cookie: str
    key: str | None
    entry: str | None
    origin: str | None
    is_websocket: bool
    is_navigation: bool
    password: str | None
    authorization: str = ""

    @property
    def is_of_kernels(self) -> bool:
        """Whether this asks for the kernels of a session, which are another process's than the session's server."""
        return is_of_session(self.path)

    @property
    def opens_page(self) -> bool:
        """Whether a browser goes there itself and can be led elsewhere."""
        return self.is_navigation and self.key is None and self.method == "GET"

    @property
    def uri(self) -> str:
        """Path and query."""
        return f"{self.path}?{self.query}" if self.query else self.path

    @property
    def session_id(self) -> str:
        """The id in `/s/{id}/…`, or that of the Host for its root."""
        parts = self.path.split("/", 3)
        return parts[2] if len(parts) > 2 and parts[1] == "s" else self.host.session_id or ""


def read_question(headers: Mapping[bytes, bytes], hosts: Hosts, cookies: CookieNames) -> Question:
    """Read what the front door tells of a client's request."""

    def text(name: bytes) -> str:
        return headers.get(name, b"").decode("latin-1")

    path, _, query = text(b"x-forwarded-uri").partition("?")
    cookie, host = text(b"cookie"), hosts.classify(text(b"host"))
    key = bearer(text(b"authorization"))
    entry = cookie_value(cookie, cookies.entry) if cookies.entry in cookie else None
    if key is not None and entry is not None and host.session_id and not has_valid_checksum(key):
        # A Hub's servers give their pages a token of their own, which is no key of ours.
        key = None
    return Question(
        method=text(b"x-forwarded-method") or "GET",
        path=path,
        query=query,
        host=host,
        cookie=cookie,
        key=key,
        entry=entry,
        origin=text(b"origin") or None,
        is_websocket=b"sec-websocket-key" in headers,
        is_navigation=text(b"sec-fetch-mode") == "navigate"
        or (b"sec-fetch-mode" not in headers and "text/html" in text(b"accept")),
        # Any text may be a password; clients send it as UTF-8.
        password=headers.get(b"studiolo-session-password", b"").decode(errors="replace") or None,
        authorization=text(b"authorization"),
    )
