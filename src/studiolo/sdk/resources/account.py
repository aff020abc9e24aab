"""The signed-in person: account, logins, keys."""

from builtins import list as list_of
from collections.abc import Sequence
from typing import Literal

from studiolo.contract.models import KeyCreate, KeyCreated, KeyInfo, LoginInfo, Me, PasswordChange
from studiolo.sdk.forms import fill
from studiolo.sdk.transport import Transport, segment


class Account:
    """The person whose key the client uses."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def get(self) -> Me:
        """Return who is signed in. Raises NotSignedIn (`key-invalid`, `not-signed-in`)."""
        return await self._transport.fetch(Me, "GET", "/me")

    async def change_password(self, new: str, *, current: str | None = None) -> None:
        """Set a password; `current` is needed where there is one. Raises InvalidInput (`password-weak`)."""
        body = PasswordChange(new=new, current=current)
        await self._transport.send("PUT", "/me/password", body=body)

    async def logins(self) -> list_of[LoginInfo]:
        """Return the browsers that are signed in."""
        return await self._transport.fetch(list_of[LoginInfo], "GET", "/me/logins")

    async def sign_out_everywhere(self) -> None:
        """End all browsers' logins; keys stay."""
        await self._transport.send("POST", "/me/sign-out-everywhere")


class Keys:
    """API keys of the signed-in person."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def list(self) -> list_of[KeyInfo]:
        """Return your keys, without their secrets."""
        return await self._transport.fetch(list_of[KeyInfo], "GET", "/me/keys")

    async def create(
        self,
        name: str,
        *,
        scopes: Sequence[str] | None = None,
        expires_in_days: int = 90,
        kind: Literal["account", "gateway"] | None = None,
        workspace: str | None = None,
    ) -> KeyCreated:
        """Make a key; `key` of the result is shown this once. No scopes: all that you may hold.

        A key of kind `gateway` opens kernels alone, by Jupyter's own API, and of `workspace` alone if one is named.
        Raises InvalidInput (`scope-unknown`, `request-invalid`), Denied (`scope-missing`).
        """
        body = fill(
            KeyCreate,
            name=name,
            scopes=None if scopes is None else list_of(scopes),
            expires_in_days=expires_in_days,
            kind=kind,
            workspace=workspace,
        )
        return await self._transport.fetch(KeyCreated, "POST", "/me/keys", body=body)

    async def revoke(self, key_id: str) -> None:
        """Revoke a key by its id. Raises NotFound (`key-not-found`)."""
        await self._transport.send("DELETE", f"/me/keys/{segment(key_id, what='key')}")
