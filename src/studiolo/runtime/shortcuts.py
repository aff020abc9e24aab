"""Shortcuts: sockets of a session that stand for one person each, so that their requests need not be asked about.

The platform has the session open one for somebody whom it let in, and puts a link to it where the front door looks.
What comes through it is that person's: nobody else can find the link, and it is removed when their right ends.
"""

import contextlib
import socket
from collections.abc import Callable, Mapping
from pathlib import Path

from tornado.httputil import HTTPServerRequest
from tornado.netutil import bind_unix_socket

PERSON_HEADER = "X-Studiolo-Person"
AUTH_HEADER = "X-Studiolo-Auth"
LOGIN_HEADER = "X-Studiolo-Login"
IDENTITY_HEADERS = (PERSON_HEADER, AUTH_HEADER, LOGIN_HEADER)
# More people than ever share a session; a limit all the same on what a fault could open.
_MOST = 64


class Shortcuts:
    """The shortcuts of one session. `folder` must be private, None: there are none; `listen` serves a socket."""

    def __init__(self, folder: Path | None, listen: Callable[[socket.socket], None]) -> None:
        self._folder = folder
        self._listen = listen
        self._sockets: dict[tuple[str, ...], Path] = {}
        self._identities: dict[str, tuple[str, ...]] = {}

    def open(self, identity: Mapping[str, str]) -> Path | None:
        """Return the socket for whoever these headers name, opening it the first time; None when there are too many."""
        who = tuple(identity.get(name, "") for name in IDENTITY_HEADERS)
        known = self._sockets.get(who)
        if known is not None and known.is_socket():
            return known
        if self._folder is None or len(self._identities) >= _MOST:
            return None
        path = self._folder / f"p{len(self._identities) + 1}"
        self._listen(bind_unix_socket(str(path), mode=0o600))
        self._sockets[who] = path
        self._identities[str(path)] = who
        return path

    def identify(self, request: HTTPServerRequest) -> bool:
        """Tell whether a request came through a shortcut; it then carries its person's headers and no others."""
        stream = getattr(request.connection, "stream", None)
        if stream is None or not self._identities:
            return False
        with contextlib.suppress(OSError):
            who = self._identities.get(stream.socket.getsockname())
            if who is not None:
                for name, value in zip(IDENTITY_HEADERS, who, strict=True):
                    request.headers[name] = value
                return True
        return False

    def close(self, logins: list[str]) -> None:
        """Remove the shortcuts of logins or keys that ended: nothing new comes through them."""
        for who in [who for who in self._sockets if who[2] in logins]:
            path = self._sockets.pop(who)
            path.unlink(missing_ok=True)
