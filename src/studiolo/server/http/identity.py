"""Who is asking over HTTP: a login's cookie or a key; and the operation that each route names."""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, APIWebSocketRoute, iter_route_contexts
from starlette.requests import HTTPConnection
from starlette.routing import BaseRoute

from studiolo.contract.errors import Denied, NotSignedIn
from studiolo.contract.operations import OPERATIONS, Access
from studiolo.server.accounts.authentication import Authentication
from studiolo.server.http.hosts import Hosts
from studiolo.server.principal import Principal
from studiolo.server.settings import Settings

_UNSAFE = frozenset({"POST", "PUT", "PATCH", "DELETE"})


@dataclass(frozen=True, slots=True)
class CookieNames:
    """Names of our cookies. Ports do not separate cookies, so the instance is in the name."""

    login: str
    entry: str
    nonce: str
    # What a browser keeps while it signs in with a JupyterHub.
    hub: str
    secure: bool

    @classmethod
    def of(cls, settings: Settings) -> "CookieNames":
        """`__Host-` wherever there is TLS; plain http, without it, is for loopback."""
        secure = settings.scheme == "https"
        host = "__Host-" if secure else ""
        return cls(
            f"{host}studiolo-login-{settings.instance}",
            settings.entry_cookie,
            f"{host}studiolo-nonce-{settings.instance}",
            f"{host}studiolo-hub-{settings.instance}",
            secure,
        )


class Identity:
    """Finds the principal of a request and checks that a change was meant."""

    def __init__(self, authentication: Authentication, hosts: Hosts, cookies: CookieNames) -> None:
        self._authentication = authentication
        self._hosts = hosts
        self.cookies = cookies

    async def find(self, connection: HTTPConnection) -> Principal | None:
        """Return who is asking, or None for nobody; raises NotSignedIn for a bad key or an ended login."""
        key = bearer(connection.headers.get("authorization", ""))
        if key is not None:
            return await self._authentication.by_key(key)
        token = connection.cookies.get(self.cookies.login)
        return await self._authentication.by_login(token) if token else None

    async def recognise(self, connection: HTTPConnection) -> Principal | None:
        """Return who is asking; an ended login or a bad key counts as nobody."""
        try:
            return await self.find(connection)
        except NotSignedIn:
            return None

    def csrf_token(self, who: Principal) -> str:
        """The token for this login's forms."""
        return self._authentication.csrf_token(who)

    def check_origin(self, connection: HTTPConnection) -> None:
        """Raise Denied (`origin-mismatch`) unless a change comes from one of our own pages."""
        origin = connection.headers.get("origin")
        expected = self._hosts.classify(connection.headers.get("host", "")).origin
        if origin is None and connection.headers.get("sec-fetch-site", "same-origin") in (
            "same-origin",
            "none",
        ):
            return
        if origin != expected:
            raise Denied("origin-mismatch", "This change came from another site's page and was refused.")

    async def check_form(self, request: Request, who: Principal) -> None:
        """Raise Denied (`origin-mismatch`) unless a login's change carries its token and origin."""
        self.check_origin(request)
        sent = request.headers.get("x-csrf-token")
        if sent is None and "form" in request.headers.get("content-type", ""):
            value = (await request.form()).get("csrf")
            sent = value if isinstance(value, str) else None
        if sent is None or not hmac.compare_digest(sent.encode(), self.csrf_token(who).encode()):
            raise Denied(
                "origin-mismatch",
                "This form has expired; nothing was changed.",
                hint="Load the page again, then repeat.",
            )


class Allow:
    """Dependency of a route that names its operation: `who: Annotated[Principal, Depends(Allow("workspace.list"))]`.

    Finds the caller, checks origin and token for changes by cookie, and that the operation is open to them at
    all. Rights on the object itself are the service's.
    """

    def __init__(self, operation: str) -> None:
        self.operation = operation
        self._rule = OPERATIONS[operation]

    async def __call__(self, connection: HTTPConnection) -> Principal:
        """Return the caller; raises NotSignedIn (`not-signed-in`), Denied."""
        identity: Identity = connection.app.state.identity
        who = await identity.find(connection)
        if who is None:
            raise NotSignedIn(
                "not-signed-in",
                "You are not signed in.",
                hint="Sign in, or send a key: Authorization: Bearer KEY.",
            )
        if who.via == "login" and isinstance(connection, Request) and connection.method in _UNSAFE:
            await identity.check_form(connection, who)
        if who.via == "login" and connection.scope["type"] == "websocket":
            identity.check_origin(connection)
        who.require(self.operation)
        return who


class Public:
    """Dependency of a route that answers anybody; returns the caller if there is one."""

    def __init__(self, operation: str) -> None:
        if OPERATIONS[operation].access is not Access.PUBLIC:
            raise ValueError(f"{operation} is not public")
        self.operation = operation

    async def __call__(self, connection: HTTPConnection) -> Principal | None:
        """Return the caller or None; an ended login counts as nobody."""
        identity: Identity = connection.app.state.identity
        return await identity.recognise(connection)


def bearer(header: str) -> str | None:
    """Return the key of an Authorization header (`Bearer KEY`, or `token KEY` as Jupyter's clients send)."""
    scheme, _, value = header.partition(" ")
    return value.strip() if scheme.lower() in ("bearer", "token") and value.strip() else None


def check_operations(routes: Sequence[BaseRoute]) -> list[tuple[str, str, str]]:
    """Return method, path and operation of every route; raises RuntimeError where one names none or several."""
    found = []
    # Routes of included routers are found by this only: what `app.routes` lists holds none of them.
    for context in iter_route_contexts(routes):
        route = context.original_route
        if not isinstance(route, (APIRoute, APIWebSocketRoute)):
            continue
        declared = sorted(set(_operations(route.dependant)))
        if len(declared) != 1:
            raise RuntimeError(f"route {context.path} must name one operation, not {declared}")
        found += [(method, context.path or "", declared[0]) for method in sorted(context.methods or {"GET"})]
    return found


def _operations(dependant: Dependant) -> list[str]:
    own = [dependant.call.operation] if isinstance(dependant.call, (Allow, Public)) else []
    return own + [name for inner in dependant.dependencies for name in _operations(inner)]


def without_ours(cookie_header: str) -> str:
    """Return a Cookie header without the platform's own cookies, for forwarding to a session."""
    kept = []
    for pair in cookie_header.split(";"):
        name = pair.strip().partition("=")[0]
        if name and not name.removeprefix("__Host-").startswith("studiolo-"):
            kept.append(pair.strip())
    return "; ".join(kept)


def cookie_value(cookie_header: str, name: str) -> str | None:
    """Return one cookie of a raw header."""
    try:
        found = SimpleCookie(cookie_header).get(name)
    except CookieError:
        return None
    return found.value if found else None
