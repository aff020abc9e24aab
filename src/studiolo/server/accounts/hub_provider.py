"""A JupyterHub as OAuth2 provider: authorisation code with PKCE. What it says of a person is read, its token ended.

Source: RFC 6749 (4.1), RFC 7636, and JupyterHub's own pages "Services" and "JupyterHub and OAuth".
"""

import asyncio
import base64
import contextlib
import hashlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Literal, TypeVar
from urllib.parse import quote, urlencode

import httpx
from pydantic import BaseModel, Field

from studiolo.contract.errors import NotSignedIn, StudioloError, Unavailable
from studiolo.engines.jupyterhub.api import connect
from studiolo.server.settings.hub_sign_in import HubSignInSettings

# A Hub's answer has some hundred bytes; groups and scopes may make it longer.
_ANSWER_BYTES = 256 * 1024
_PROMPT_SECONDS = 3.0


class _Token(BaseModel):
    access_token: str = Field(min_length=1, max_length=4096, pattern=r"^[!-~]+$")


class _Self(BaseModel):
    kind: Literal["user"]
    name: str = Field(min_length=1, max_length=255)
    admin: bool = False
    token_id: str | None = Field(None, max_length=100)


_Model = TypeVar("_Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class HubUser:
    """Who somebody is at the Hub, in the Hub's words."""

    name: str
    is_admin: bool


class HubProvider:
    """Asks the Hub. `callback`: where it sends browsers back to, exactly as it stands in the Hub's configuration.

    Raises Unavailable (`sign-in-provider-unavailable`) for a Hub that does not answer, or not as a Hub does.
    """

    def __init__(self, settings: HubSignInSettings, callback: str) -> None:
        self._settings = settings
        self._callback = callback
        self._api = f"{settings.url}/hub/api"

    def authorize_url(self, state: str, verifier: str) -> str:
        """Return where a browser goes to sign in."""
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        asked = {
            "client_id": self._settings.client_id,
            "redirect_uri": self._callback,
            "response_type": "code",
            "state": state,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        return f"{self._api}/oauth2/authorize?{urlencode(asked)}"

    async def check_answers(self) -> None:
        """Return if the Hub answers: a browser that is sent to one that does not sees nothing of ours any more."""
        async with self._asking(min(self._settings.timeout_seconds, _PROMPT_SECONDS)) as client:
            reply = await _ask(client, "GET", self._api)
        if not reply.is_success:
            raise unavailable(f"its API answers {reply.status_code}")

    async def identify(self, code: str, verifier: str) -> HubUser:
        """Return who a code stands for; it is good once. Raises also NotSignedIn (`sign-in-refused`)."""
        async with self._asking(self._settings.timeout_seconds) as client:
            token = await self._exchange(client, code, verifier)
            found = _read(_Self, await _ask(client, "GET", f"{self._api}/user", headers=_as(token)))
            await self._end_token(client, found)
        return HubUser(found.name, found.admin)

    async def _exchange(self, client: httpx.AsyncClient, code: str, verifier: str) -> str:
        form = {
            "client_id": self._settings.client_id,
            "client_secret": self._secret(),
            "grant_type": "authorization_code",
            "code": code,
            "code_verifier": verifier,
            "redirect_uri": self._callback,
        }
        reply = await _ask(client, "POST", f"{self._api}/oauth2/token", data=form)
        if reply.status_code == HTTPStatus.BAD_REQUEST:
            raise NotSignedIn(
                "sign-in-refused",
                "The JupyterHub did not confirm this sign-in: it was used before, or took too long.",
                hint="Begin again.",
            )
        return _read(_Token, reply).access_token

    async def _end_token(self, client: httpx.AsyncClient, found: _Self) -> None:
        """Have the token ended where our service may; else the Hub forgets it in its time, and we have it nowhere."""
        if found.token_id is not None:
            path = f"{self._api}/users/{quote(found.name, safe='')}/tokens/{quote(found.token_id, safe='')}"
            with contextlib.suppress(httpx.HTTPError, Unavailable):
                await _ask(client, "DELETE", path, headers=_as(self._secret()))

    def _secret(self) -> str:
        path = self._settings.token_file
        try:
            return path.read_text().strip() if path else ""
        except (OSError, UnicodeDecodeError) as exc:
            raise unavailable(f"accounts.jupyterhub.token_file cannot be read: {exc}") from exc

    @contextlib.asynccontextmanager
    async def _asking(self, seconds: float) -> AsyncIterator[httpx.AsyncClient]:
        try:
            async with asyncio.timeout(seconds), connect(self._settings.url, seconds) as client:
                yield client
        except (httpx.HTTPError, TimeoutError) as exc:
            raise unavailable(repr(exc)) from exc


def unavailable(detail: str) -> StudioloError:
    """Return the error for a Hub that does not answer, or not as a Hub does to its client."""
    return Unavailable(
        "sign-in-provider-unavailable",
        "The JupyterHub does not answer as it should, so nobody can sign in with it now.",
        hint="Who has a password or a sign-in link here signs in with that. Try again when the Hub is back.",
        detail=detail[:400],
    )


def _as(token: str) -> dict[str, str]:
    return {"Authorization": f"token {token}"}


async def _ask(
    client: httpx.AsyncClient,
    method: str,
    url: str,
    *,
    data: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> httpx.Response:
    # Not decoded, so that a small answer stays small.
    sent = {"Accept-Encoding": "identity", **(headers or {})}
    async with client.stream(method, url, data=data, headers=sent) as reply:
        body = bytearray()
        async for chunk in reply.aiter_raw():
            body += chunk
            if len(body) > _ANSWER_BYTES:
                raise unavailable("its answer is too long")
        return httpx.Response(reply.status_code, content=bytes(body))


def _read(model: type[_Model], reply: httpx.Response) -> _Model:
    if not reply.is_success:
        raise unavailable(f"it answers {reply.status_code} to the OAuth client that accounts.jupyterhub names")
    try:
        return model.model_validate_json(reply.content)
    except ValueError as exc:
        # What came may hold the token.
        raise unavailable("its answer is none of a Hub") from exc
