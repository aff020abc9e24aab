"""What we ask of a JupyterHub, by its REST API (versions 5 and 6), with the token of its service for us."""

import ssl
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel

from studiolo.contract.errors import Unavailable
from studiolo.engines.jupyterhub.names import Key
from studiolo.engines.jupyterhub.servers import (
    HubServer,
    Page,
    ProgressEvent,
    StartNews,
    UserModel,
    clip,
    read_servers,
)
from studiolo.engines.jupyterhub.settings import HubSettings

_PAGED = {"Accept": "application/jupyterhub-pagination+json"}
_PAGE = 200
# The Hub writes something to a stream each 8 s, so that proxies keep it open.
_STREAM_SECONDS = 60.0
_SCOPES = frozenset(
    {"list:users", "read:users:name", "read:servers", "start:servers", "delete:servers", "tokens", "access:servers"}
)
_CREATE_SCOPE = "admin:users"


class _Token(BaseModel):
    token: str


class _Self(BaseModel):
    scopes: list[str] = []


class _Problem(BaseModel):
    message: str | None = None


Model = TypeVar("Model", bound=BaseModel)


class HubRefusal(Exception):
    """The Hub answered, and said no. `status`: of HTTP; `message`: the Hub's own words, clipped; may be empty."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status} {message}")
        self.status = status
        self.message = message


class HubAPI:
    """Asks. Raises Unavailable (`engine-unavailable`) without an answer, HubRefusal for one that is no success."""

    def __init__(self, settings: HubSettings) -> None:
        self._settings = settings
        self._client: httpx.AsyncClient | None = None

    async def find_servers(self, user: str) -> dict[Key, HubServer] | None:
        """Return a user's servers, those that have ended too; None when the Hub has no such user."""
        try:
            reply = await self._ask("GET", _user(user), params={"include_stopped_servers": "1"})
        except HubRefusal as exc:
            if exc.status == HTTPStatus.NOT_FOUND:
                return None
            raise
        return {server.key: server for server in read_servers(_read(UserModel, reply))}

    async def create_user(self, user: str) -> None:
        """Make a user; success if there is one."""
        try:
            await self._ask("POST", _user(user))
        except HubRefusal as exc:
            if exc.status != HTTPStatus.CONFLICT:
                raise

    async def start(self, key: Key, options: dict[str, Any]) -> None:
        """Have a server started with these `user_options`; the Hub may take 10 s until it says that it begins."""
        await self._ask("POST", _server(key), json=options)

    async def stop(self, key: Key, *, remove: bool = False) -> None:
        """Have a server ended (and forgotten); success if it is gone."""
        try:
            await self._ask("DELETE", _server(key), json={"remove": remove})
        except HubRefusal as exc:
            if exc.status != HTTPStatus.NOT_FOUND:
                raise

    async def list_active(self) -> dict[Key, HubServer]:
        """Return all servers that run, begin or end, of all users that the token may see: one request for 200 users."""
        found: dict[Key, HubServer] = {}
        offset: int | None = 0
        while offset is not None:
            params = {"state": "active", "limit": str(_PAGE), "offset": str(offset)}
            page = _read(Page, await self._ask("GET", "users", params=params, headers=_PAGED))
            for user in page.items:
                found |= {server.key: server for server in read_servers(user) if server.is_active}
            following = page.pagination.next
            offset = following.offset if following and following.offset > offset else None
        return found

    async def progress(self, key: Key) -> AsyncIterator[StartNews]:
        """Yield what the Hub tells of a server's start until it is ready or has failed.

        A start that failed some time ago is told once more, until the Hub starts anew.
        """
        path = f"{self._settings.url}/hub/api/{_server(key)}/progress"
        limit = httpx.Timeout(self._settings.timeout_seconds, read=_STREAM_SECONDS)
        try:
            async with self._connect().stream("GET", path, headers=self._headers(), timeout=limit) as reply:
                if not reply.is_success:
                    await reply.aread()
                    raise HubRefusal(reply.status_code, _message(reply))
                async for line in reply.aiter_lines():
                    if line.startswith("data:"):
                        event = ProgressEvent.model_validate_json(line[5:])
                        yield StartNews(clip(event.message), event.failed)
        except (httpx.HTTPError, ValueError) as exc:
            raise away(exc) from exc

    async def mint_token(self, key: Key, *, seconds: int) -> str:
        """Return a token of the server's user that opens this server and nothing else."""
        scopes = [f"access:servers!server={key.user}/{key.server}"]
        body = {"expires_in": seconds, "note": "Studiolo's front door", "scopes": scopes}
        reply = await self._ask("POST", f"{_user(key.user)}/tokens", json=body)
        return _read(_Token, reply).token

    async def find_missing_scopes(self) -> list[str]:
        """Return the scopes that the token needs and lacks, sorted."""
        held = {scope.partition("!")[0] for scope in _read(_Self, await self._ask("GET", "user")).scopes}
        needed = _SCOPES | ({_CREATE_SCOPE} if self._settings.create_users else set())
        return sorted(needed - held)

    async def aclose(self) -> None:
        """Let go of all connections."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def _ask(
        self,
        method: str,
        path: str,
        *,
        params: dict[str, str] | None = None,
        json: Any = None,
        headers: dict[str, str] | None = None,
    ) -> httpx.Response:
        url = f"{self._settings.url}/hub/api/{path}"
        sent = {**self._headers(), **(headers or {})}
        try:
            reply = await self._connect().request(method, url, params=params, json=json, headers=sent)
        except httpx.HTTPError as exc:
            raise away(exc) from exc
        if not reply.is_success:
            raise HubRefusal(reply.status_code, _message(reply))
        return reply

    def _connect(self) -> httpx.AsyncClient:
        if self._client is None:
            self._client = connect(self._settings.url, self._settings.timeout_seconds)
        return self._client

    def _headers(self) -> dict[str, str]:
        path = self._settings.token_file
        try:
            return {"Authorization": f"token {path.read_text().strip()}"}
        except (OSError, UnicodeDecodeError) as exc:
            raise Unavailable(
                "engine-unavailable",
                f"The JupyterHub's token cannot be read from {path}.",
                hint="engines.jupyterhub.token_file names a file that the platform's account can read.",
                detail=str(exc),
            ) from exc


def connect(url: str, timeout_seconds: float) -> httpx.AsyncClient:
    """Return a client for the Hub at `url`; it follows no redirects and takes nothing from the environment."""
    # Each server that starts holds a stream; none may wait for another's.
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=20)
    # Authorities that a plain Hub does not have take 20 ms to load.
    verify = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if url.startswith("http:") else ssl.create_default_context()
    return httpx.AsyncClient(limits=limits, verify=verify, timeout=timeout_seconds, trust_env=False)


def away(cause: Exception) -> Unavailable:
    """Return the error for a Hub that does not answer, or not as a Hub does."""
    return Unavailable(
        "engine-unavailable",
        "The JupyterHub does not answer.",
        hint="Servers there run on. Try again when the Hub is back; engines.jupyterhub.url says where it is.",
        detail=repr(cause)[:_PAGE],
    )


def _user(user: str) -> str:
    return f"users/{quote(user, safe='')}"


def _server(key: Key) -> str:
    return f"{_user(key.user)}/servers/{quote(key.server, safe='')}"


def _read(model: type[Model], reply: httpx.Response) -> Model:
    try:
        return model.model_validate_json(reply.content)
    except ValueError as exc:
        raise away(exc) from exc


def _message(reply: httpx.Response) -> str:
    try:
        return clip(_Problem.model_validate_json(reply.content).message)
    except ValueError:
        return ""
