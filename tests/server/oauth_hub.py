"""A JupyterHub's OAuth2 side in this process, as strict as version 6.1 is, and as strange as a test wants it."""

import asyncio
import base64
import contextlib
import hashlib
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from aiohttp import web

from serving_hub import serving

SECRET = "the-services-own-token"


@dataclass
class OAuthHub:
    """`user`: who signs in at it. `answers`: bodies in place of its own, by path. `tokens`: those that still count."""

    callback: str
    url: str = ""
    user: dict[str, Any] = field(default_factory=lambda: {"kind": "user", "name": "ana", "admin": False})
    answers: dict[str, str] = field(default_factory=dict)
    codes: dict[str, str] = field(default_factory=dict)
    tokens: set[str] = field(default_factory=set)
    hangs: asyncio.Event | None = None

    def sign_in(self, address: str) -> dict[str, str]:
        """Do what the Hub's page does for a browser sent to `address`; return what its answer carries back."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        assert address.startswith(f"{self.url}/hub/api/oauth2/authorize?")
        assert (asked["client_id"], asked["redirect_uri"]) == ("service-studiolo", self.callback)
        assert (asked["response_type"], asked["code_challenge_method"]) == ("code", "S256")
        code = secrets.token_hex(8)
        self.codes[code] = asked["code_challenge"]
        return {"code": code, "state": asked["state"]}

    async def answer(self, request: web.Request) -> web.Response:
        """Answer one request."""
        if self.hangs is not None:
            await self.hangs.wait()
        if request.path in self.answers:
            return web.Response(text=self.answers[request.path], content_type="application/json")
        match request.method, request.path:
            case "GET", "/hub/api":
                return web.json_response({"version": "6.1.1"})
            case "POST", "/hub/api/oauth2/token":
                return self._give_token({name: str(value) for name, value in (await request.post()).items()})
            case "GET", "/hub/api/user" if self._token(request) in self.tokens:
                return web.json_response({**self.user, "token_id": self._token(request), "scopes": []})
            case "DELETE", path if self._token(request) == SECRET:
                self.tokens.discard(path.rpartition("/")[2])
                return web.Response(status=204)
        return web.json_response({"status": 403}, status=403)

    def _give_token(self, form: dict[str, str]) -> web.Response:
        if (form["client_id"], form["client_secret"]) != ("service-studiolo", SECRET):
            return web.json_response({"error": "invalid_client"}, status=401)
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        fits = self.codes.pop(form["code"], None) == base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if not fits or form["redirect_uri"] != self.callback:
            return web.json_response({"error": "invalid_grant"}, status=400)
        token = secrets.token_hex(8)
        self.tokens.add(token)
        return web.json_response({"access_token": token, "token_type": "Bearer", "expires_in": 1209600})

    @staticmethod
    def _token(request: web.Request) -> str:
        return request.headers.get("Authorization", "").removeprefix("token ")


@contextlib.asynccontextmanager
async def oauth_hub(callback: str) -> AsyncIterator[OAuthHub]:
    """Serve one on a port of this machine."""
    hub = OAuthHub(callback)
    async with serving(hub):
        yield hub
