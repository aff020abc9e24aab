"""People of a platform, invitations, and what everybody is told."""

from collections.abc import Mapping
from typing import Literal

from studiolo.contract.models import KeyCreated, Page, Person, PersonCreate, SignInLink
from studiolo.contract.operations import Role
from studiolo.contract.people import (
    Banner,
    BannerPost,
    CurrentBanner,
    HandedOver,
    HandOver,
    Invitation,
    InvitationCreate,
    InvitationLink,
    Join,
    Level,
    PersonAccess,
    PersonUpdate,
)
from studiolo.sdk.forms import fill
from studiolo.sdk.listing import Listing
from studiolo.sdk.transport import Transport, segment


class People:
    """The people of a platform; for administrators. A person is named by name, e-mail address or id."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(
        self,
        *,
        text: str | None = None,
        kind: Literal["administrators", "suspended"] | None = None,
        page_size: int | None = None,
    ) -> Listing[Person]:
        """Return people by name: all, those with `text` in name or address, or of one kind."""

        async def fetch(cursor: str | None) -> Page[Person]:
            asked = {"q": text, "kind": kind, "limit": page_size, "cursor": cursor}
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
        """Return a new one-time sign-in link. Raises NotFound (`person-not-found`), Conflict (`person-suspended`)."""
        return await self._transport.fetch(SignInLink, "POST", f"{_at(person)}/sign-in-link")

    async def access(self, person: str) -> PersonAccess:
        """Return all that a person can reach and has open."""
        return await self._transport.fetch(PersonAccess, "GET", _at(person))

    async def set_admin(self, person: str, is_admin: bool) -> PersonAccess:
        """Make somebody administrator, or no longer. Raises Conflict (`last-admin`)."""
        return await self._transport.fetch(PersonAccess, "PATCH", _at(person), body=PersonUpdate(is_admin=is_admin))

    async def suspend(self, person: str) -> None:
        """Keep a person out: logins, keys and sockets end, what they have running stops.

        Raises Denied (`own-account`), Conflict (`last-admin`).
        """
        await self._transport.send("POST", f"{_at(person)}/suspend")

    async def reinstate(self, person: str) -> None:
        """Let a suspended person back in; they sign in anew."""
        await self._transport.send("POST", f"{_at(person)}/reinstate")

    async def hand_over(self, person: str, to: str) -> HandedOver:
        """Make somebody else owner of all workspaces that a person owns, at once."""
        return await self._transport.fetch(HandedOver, "POST", f"{_at(person)}/hand-over", body=fill(HandOver, to=to))

    async def erase(self, person: str, *, confirm: str) -> None:
        """Erase what is personal of somebody who left; `confirm` is their name. Nothing brings it back.

        Raises Conflict (`owns-workspaces`, `last-admin`), Denied (`own-account`).
        """
        await self._transport.send("DELETE", _at(person), query={"confirm": confirm})


class Invitations:
    """One-time links by which people join; for administrators."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, *, page_size: int | None = None) -> Listing[Invitation]:
        """Return invitations that nobody has used yet, newest first."""

        async def fetch(cursor: str | None) -> Page[Invitation]:
            asked = {"limit": page_size, "cursor": cursor}
            return await self._transport.fetch(Page[Invitation], "GET", "/invitations", query=asked)

        return Listing(fetch)

    async def create(
        self, to: str, *, is_admin: bool = False, workspaces: Mapping[str, Role | str] | None = None
    ) -> InvitationLink:
        """Invite somebody, by e-mail address or by the name proposed; `workspaces`: roles that come with it.

        The link is in this answer alone. Raises Conflict (`person-exists`), NotFound (`workspace-not-found`).
        """
        grants = [{"workspace": workspace, "role": role} for workspace, role in (workspaces or {}).items()]
        body = fill(InvitationCreate, to=to, is_admin=is_admin, workspaces=grants)
        return await self._transport.fetch(InvitationLink, "POST", "/invitations", body=body)

    async def renew(self, invitation: str) -> InvitationLink:
        """Make a new link, by the invitation's id; the old one ends. Raises NotFound (`invitation-not-found`)."""
        path = f"/invitations/{segment(invitation, what='invitation')}/renew"
        return await self._transport.fetch(InvitationLink, "POST", path)

    async def withdraw(self, invitation: str) -> None:
        """Withdraw an invitation, by its id. Raises NotFound (`invitation-not-found`)."""
        await self._transport.send("DELETE", f"/invitations/{segment(invitation, what='invitation')}")

    async def accept(
        self, token: str, name: str, password: str, *, display_name: str | None = None, key_name: str = "command line"
    ) -> KeyCreated:
        """Join by an invitation, for anybody; returns a key. `token`: what its link holds, or the whole link.

        Raises NotFound (`invitation-not-found`), Conflict (`person-exists`), InvalidInput (`password-weak`).
        """
        held = token.rpartition("invitation=")[2]
        body = fill(Join, token=held, name=name, password=password, display_name=display_name, key_name=key_name)
        return await self._transport.fetch(KeyCreated, "POST", "/join", body=body)


class Banners:
    """What administrators tell everybody, on every page."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def get(self) -> Banner | None:
        """Return what everybody is told now; None: nothing."""
        return (await self._transport.fetch(CurrentBanner, "GET", "/banner")).banner

    async def post(self, text: str, *, level: Level = "info", minutes: int | None = None) -> Banner | None:
        """Tell everybody something, in place of what was told before; `minutes`: for how long."""
        body = fill(BannerPost, text=text, level=level, minutes=minutes)
        return (await self._transport.fetch(CurrentBanner, "PUT", "/banner", body=body)).banner

    async def withdraw(self) -> None:
        """Take it down."""
        await self._transport.send("DELETE", "/banner")


def _at(person: str) -> str:
    return f"/people/{segment(person, what='person')}"
