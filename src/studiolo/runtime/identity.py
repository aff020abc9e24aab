"""Who asks: a session believes only what comes with its launch's secret, that is, through the front door."""

import base64
import binascii
import hmac
import json
from typing import Any

from jupyter_server.auth import IdentityProvider, User
from jupyter_server.auth.decorator import allow_unauthenticated
from tornado.httputil import HTTPServerRequest
from tornado.routing import Matcher, Rule
from tornado.web import Application, RequestHandler

SECRET_HEADER = "X-Studiolo-Secret"  # noqa: S105
PERSON_HEADER = "X-Studiolo-Person"
AUTH_HEADER = "X-Studiolo-Auth"


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


def guard(application: Application, secret: str) -> None:
    """Refuse every request without `secret`, whatever route or extension it is for, websockets too."""
    application.default_router.rules.insert(0, Rule(_WithoutSecret(secret), _Refusal))


class _WithoutSecret(Matcher):
    """Matches what did not come through the front door."""

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()

    def match(self, request: HTTPServerRequest) -> dict[str, Any] | None:
        given = request.headers.get_list(SECRET_HEADER)
        good = bool(self._secret) and len(given) == 1 and hmac.compare_digest(given[0].encode(), self._secret)
        return None if good else {}


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
