"""REST of people as administrators see and change them, of invitations, and of what everybody is told."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from studiolo.contract.models import KeyCreated, Page, Person
from studiolo.contract.people import (
    BannerPost,
    CurrentBanner,
    HandedOver,
    HandOver,
    Invitation,
    InvitationCreate,
    InvitationLink,
    Join,
    PersonAccess,
    PersonUpdate,
)
from studiolo.server.accounts.banners import Banners
from studiolo.server.accounts.invitations import Invitations
from studiolo.server.accounts.suspension import Suspension
from studiolo.server.directory import Directory, Kind
from studiolo.server.http.identity import Allow, Public
from studiolo.server.http.services import service
from studiolo.server.principal import Principal
from studiolo.server.workspaces.holdings import WorkspaceHoldings

router = APIRouter(tags=["people"])
_Directory = Annotated[Directory, Depends(service("directory"))]
_Invitations = Annotated[Invitations, Depends(service("invitations"))]
_Suspension = Annotated[Suspension, Depends(service("suspension"))]
_Holdings = Annotated[WorkspaceHoldings, Depends(service("holdings"))]
_Banners = Annotated[Banners, Depends(service("banners"))]
_Limit = Annotated[int, Query(ge=1, le=200)]
_Cursor = Annotated[str | None, Query(max_length=500)]


@router.get("/people")
async def list_people(
    who: Annotated[Principal, Depends(Allow("person.list"))],
    directory: _Directory,
    q: Annotated[str | None, Query(max_length=200, description="Part of a name or e-mail address.")] = None,
    kind: Annotated[Kind | None, Query(description="Only these.")] = None,
    cursor: _Cursor = None,
    limit: _Limit = 50,
) -> Page[Person]:
    """People by name, with when they were last seen and what they use."""
    return await directory.list_people(who, text=q, kind=kind, cursor=cursor, limit=limit)


@router.get("/people/{person}")
async def person_access(
    person: str, who: Annotated[Principal, Depends(Allow("person.read"))], directory: _Directory
) -> PersonAccess:
    """All that a person can reach and has open: workspaces and roles, keys, logins, sessions."""
    return await directory.access(who, person)


@router.patch("/people/{person}")
async def update_person(
    person: str,
    form: PersonUpdate,
    who: Annotated[Principal, Depends(Allow("person.promote"))],
    suspension: _Suspension,
    directory: _Directory,
) -> PersonAccess:
    """Make somebody administrator, or no longer; one remains."""
    await suspension.set_admin(who, person, form.is_admin)
    return await directory.access(who, person)


@router.post("/people/{person}/suspend", status_code=204)
async def suspend(
    person: str, who: Annotated[Principal, Depends(Allow("person.suspend"))], suspension: _Suspension
) -> Response:
    """Keep a person out: logins and keys end, and what they have running stops; workspaces stay with their members."""
    await suspension.suspend(who, person)
    return Response(status_code=204)


@router.post("/people/{person}/reinstate", status_code=204)
async def reinstate(
    person: str, who: Annotated[Principal, Depends(Allow("person.suspend"))], suspension: _Suspension
) -> Response:
    """Let a suspended person back in; they sign in anew."""
    await suspension.reinstate(who, person)
    return Response(status_code=204)


@router.post("/people/{person}/hand-over")
async def hand_over(
    person: str,
    form: HandOver,
    who: Annotated[Principal, Depends(Allow("person.hand-over"))],
    holdings: _Holdings,
) -> HandedOver:
    """Make somebody else owner of all that a person owns, at once."""
    return await holdings.hand_over(who, person, form.to)


@router.delete("/people/{person}", status_code=204)
async def erase(
    person: str,
    who: Annotated[Principal, Depends(Allow("person.erase"))],
    suspension: _Suspension,
    confirm: Annotated[str, Query(max_length=63, description="Their name: nothing brings them back.")] = "",
) -> Response:
    """Erase what is personal of somebody who owns nothing any more; the record of changes stays, with a pseudonym."""
    await suspension.erase(who, person, confirm=confirm)
    return Response(status_code=204)


@router.get("/invitations")
async def list_invitations(
    who: Annotated[Principal, Depends(Allow("invitation.list"))],
    invitations: _Invitations,
    cursor: _Cursor = None,
    limit: _Limit = 50,
) -> Page[Invitation]:
    """Invitations that nobody has used yet, newest first."""
    return await invitations.list_(who, cursor=cursor, limit=limit)


@router.post("/invitations", status_code=201)
async def invite(
    form: InvitationCreate,
    who: Annotated[Principal, Depends(Allow("invitation.create"))],
    invitations: _Invitations,
) -> InvitationLink:
    """Invite somebody; the link is in this answer alone. It is sent by mail where that is set up."""
    return await invitations.create(who, form)


@router.post("/invitations/{invitation}/renew")
async def renew_invitation(
    invitation: str, who: Annotated[Principal, Depends(Allow("invitation.renew"))], invitations: _Invitations
) -> InvitationLink:
    """Make a new link that counts from now on; the old one ends."""
    return await invitations.renew(who, invitation)


@router.delete("/invitations/{invitation}", status_code=204)
async def withdraw_invitation(
    invitation: str, who: Annotated[Principal, Depends(Allow("invitation.withdraw"))], invitations: _Invitations
) -> Response:
    """Withdraw an invitation; its link ends."""
    await invitations.withdraw(who, invitation)
    return Response(status_code=204)


@router.post("/join", status_code=201, dependencies=[Depends(Public("invitation.accept"))])
async def join(form: Join, invitations: _Invitations) -> KeyCreated:
    """Join by an invitation: choose name and password; answers with a key."""
    return await invitations.join_program(form)


@router.get("/banner")
async def current_banner(who: Annotated[Principal, Depends(Allow("banner.read"))], banners: _Banners) -> CurrentBanner:
    """What administrators tell everybody now."""
    return CurrentBanner(banner=await banners.read(who))


@router.put("/banner")
async def post_banner(
    form: BannerPost, who: Annotated[Principal, Depends(Allow("banner.post"))], banners: _Banners
) -> CurrentBanner:
    """Tell everybody something, in place of what was told before."""
    return CurrentBanner(banner=await banners.post(who, form))


@router.delete("/banner", status_code=204)
async def withdraw_banner(who: Annotated[Principal, Depends(Allow("banner.post"))], banners: _Banners) -> Response:
    """Take down what everybody is told."""
    await banners.withdraw(who)
    return Response(status_code=204)
