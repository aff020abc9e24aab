"""Who asks: a session believes only what comes with its launch's secret, that is, through the front door."""

import base64
import binascii
import hmac
import json
from collections import defaultdict
from typing import Any
from weakref import WeakSet

from jupyter_server.auth import IdentityProvider, User
from jupyter_server.auth.decorator import allow_unauthenticated
from tornado.httputil import HTTPServerRequest
from tornado.iostream import IOStream
from tornado.routing import Matcher, PathMatches, Rule
from tornado.web import Application, RequestHandler

from studiolo.runtime.shortcuts import AUTH_HEADER, LOGIN_HEADER, PERSON_HEADER, Shortcuts

SECRET_HEADER = "X-Studiolo-Secret"  # noqa: S105


class FrontDoorIdentity(IdentityProvider):
    """Takes the person from the front door's headers. Sets no cookie, knows no login page.

    `X-Studiolo-Auth: key` counts as authenticated by token, so that Jupyter asks for no XSRF proof, as with
    its own tokens; `login`, a browser's cookie, does not.
    """

    @property
    def login_available(self) -> bool:
        """No login form: signing in is the platform's."""
        return False

    @property
    def logout_available(self) -> bool:
        """No logout either."""
        return False

    def get_user(self, handler: RequestHandler) -> User | None:
        """Return the person of a request that passed `guard`; None when its headers make no sense."""
        person = _read_person(handler.request.headers.get(PERSON_HEADER, ""))
        if person is None:
            return None
        handler._token_authenticated = handler.request.headers.get(AUTH_HEADER) == "key"  # type: ignore[attr-defined]
        return person


def guard(application: Application, secret: str, base_url: str, shortcuts: Shortcuts) -> None:
    """Refuse every request without `secret` or a shortcut, whatever route or extension it is for, websockets too.

    Also answers the platform's own requests: to close the sockets of logins that ended, to open a shortcut.
    """
    sockets = OpenSockets()
    own = {"sockets": sockets, "shortcuts": shortcuts}
    application.default_router.rules[:0] = [
        Rule(_WithoutSecret(secret, sockets, shortcuts), _Refusal),
        Rule(PathMatches(f"{base_url}studiolo/close$"), _Closing, own),
        Rule(PathMatches(f"{base_url}studiolo/shortcut$"), _Opening, own),
    ]


class OpenSockets:
    """Connections that were upgraded to websockets, by the login or key that opened them."""

    def __init__(self) -> None:
        self._streams: dict[str, WeakSet[IOStream]] = defaultdict(WeakSet)

    def note(self, request: HTTPServerRequest) -> bool:
        """Remember the connection of a request that asks for an upgrade; False when nobody could have it closed."""
        if "Upgrade" not in request.headers:
            return True
        login = request.headers.get(LOGIN_HEADER)
        stream = getattr(request.connection, "stream", None)
        if not login or stream is None:
            return False
        self._streams[login].add(stream)
        return True

    def close(self, logins: list[str]) -> int:
        """Cut the connections of these logins; return how many were open."""
        closed = 0
        for login in logins:
            for stream in list(self._streams.pop(login, ())):
                closed += not stream.closed()
                stream.close()
        return closed


class _WithoutSecret(Matcher):
    """Matches what did not come through the front door."""

    def __init__(self, secret: str, sockets: OpenSockets, shortcuts: Shortcuts) -> None:
        self._secret = secret.encode()
        self._sockets = sockets
        self._shortcuts = shortcuts

    def match(self, request: HTTPServerRequest) -> dict[str, Any] | None:
        if self._shortcuts.identify(request):
            return None
        given = request.headers.get_list(SECRET_HEADER)
        good = bool(self._secret) and len(given) == 1 and hmac.compare_digest(given[0].encode(), self._secret)
        return None if good and self._sockets.note(request) else {}


class _OfPlatform(RequestHandler):
    """Answers the platform itself, never somebody through the front door."""

    def initialize(self, sockets: OpenSockets, shortcuts: Shortcuts) -> None:
        self._sockets = sockets
        self._shortcuts = shortcuts

    def check_xsrf_cookie(self) -> None:
        """No cookie is concerned."""

    @allow_unauthenticated
    def prepare(self) -> None:
        if self.request.headers.get(AUTH_HEADER) != "platform":
            self.send_error(403)


class _Closing(_OfPlatform):
    """Closes the sockets of logins that ended."""

    @allow_unauthenticated
    def post(self) -> None:
        logins = json.loads(self.request.body)["logins"]
        self._shortcuts.close(logins)
        self.finish({"closed": self._sockets.close(logins)})


class _Opening(_OfPlatform):
    """Opens a shortcut for the person that the body's headers name."""

    @allow_unauthenticated
    def post(self) -> None:
        path = self._shortcuts.open(json.loads(self.request.body))
        if path is None:
            self.send_error(429)
            return
        self.finish({"socket": str(path)})


class _Refusal(RequestHandler):
    """Says no, in one sentence."""

    @allow_unauthenticated
    def prepare(self) -> None:
        self.set_status(403)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish("This session answers only through Studiolo. Open it from your workspace's page.\n")


def _read_person(header: str) -> User | None:
    """Decode base64url JSON {"id", "name", "display_name"}."""
    try:
        person = json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))
        initials = "".join(word[0] for word in person["display_name"].split()[:2]).upper()
        return User(person["id"], person["name"], person["display_name"], initials or None)
    except (binascii.Error, ValueError, KeyError, TypeError, AttributeError):
        return None
