"""The platform itself: what it is, its people, its record of changes."""

from studiolo.contract.models import (
    AuditEvent,
    Health,
    KeyCreated,
    Page,
    Person,
    PersonCreate,
    PlatformInfo,
    SignIn,
    SignInLink,
)
from studiolo.sdk.listing import Listing
from studiolo.sdk.transport import Transport, segment


class Platform:
    """What anybody may ask of a platform."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def get(self) -> PlatformInfo:
        """Return version, address and isolation."""
        return await self._transport.fetch(PlatformInfo, "GET", "/platform")

    async def health(self) -> Health:
        """Return if the platform answers. Raises Unavailable (`control-plane-unreachable`) if not."""
        return await self._transport.fetch(Health, "GET", "/health")

    async def sign_in(self, name: str, password: str, *, key_name: str = "command line") -> KeyCreated:
        """Return a new key for a person. The client itself goes on without it.

        Raises NotSignedIn (`credentials-wrong`), LimitReached (`too-many-attempts`).
        """
        body = SignIn(name=name, password=password, key_name=key_name)
        return await self._transport.fetch(KeyCreated, "POST", "/sign-in", body=body)


class People:
    """The people of a platform; for administrators."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, *, page_size: int | None = None) -> Listing[Person]:
        """Return all people."""

        async def fetch(cursor: str | None) -> Page[Person]:
            asked = {"limit": page_size, "cursor": cursor}
            return await self._transport.fetch(Page[Person], "GET", "/people", query=asked)

        return Listing(fetch)

    async def create(
        self,
        name: str,
        *,
        display_name: str | None = None,
        email: str | None = None,
        is_admin: bool = False,
    ) -> SignInLink:
        """Add a person and return their first sign-in link. Raises Conflict (`person-exists`)."""
        body = PersonCreate(name=name, display_name=display_name, email=email, is_admin=is_admin)
        return await self._transport.fetch(SignInLink, "POST", "/people", body=body)

    async def sign_in_link(self, person: str) -> SignInLink:
        """Return a new one-time sign-in link for a person. Raises NotFound (`person-not-found`)."""
        path = f"/people/{segment(person, what='person')}/sign-in-link"
        return await self._transport.fetch(SignInLink, "POST", path)


class Audit:
    """The record of changes; for administrators."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, *, page_size: int | None = None) -> Listing[AuditEvent]:
        """Return the events, newest first."""

        async def fetch(cursor: str | None) -> Page[AuditEvent]:
            asked = {"limit": page_size, "cursor": cursor}
            return await self._transport.fetch(Page[AuditEvent], "GET", "/audit", query=asked)

        return Listing(fetch)
