"""Pages for administrators: everybody, who is invited, and inviting."""

from typing import Annotated, Any

from fastapi import Depends, Form, Query, Request
from fastapi.responses import Response

from studiolo.contract.errors import StudioloError
from studiolo.contract.models import SignInLink
from studiolo.contract.operations import Role
from studiolo.contract.people import InvitationCreate, InvitationLink
from studiolo.server.directory import Kind
from studiolo.server.http.identity import Allow
from studiolo.server.principal import Principal
from studiolo.server.services import Services
from studiolo.server.web import forms
from studiolo.server.web.render import render, see
from studiolo.server.web.routing import PAGE_SIZE, Cursor, ServicesOf, pager, pages_router, status_of

router = pages_router()
_Text = Annotated[str, Form(max_length=1000)]
_HOME = "/admin/people"


@router.get("/admin/people")
async def people(
    request: Request,
    who: Annotated[Principal, Depends(Allow("person.list"))],
    services: ServicesOf,
    q: Annotated[str, Query(max_length=200)] = "",
    kind: Kind | None = None,
    cursor: Cursor = None,
) -> Response:
    """Everybody, by name; `q` and `kind` narrow them."""
    return await show_people(request, who, services, text=q.strip(), kind=kind, cursor=cursor)


@router.post("/admin/people/invitations")
async def invite(
    request: Request,
    who: Annotated[Principal, Depends(Allow("invitation.create"))],
    services: ServicesOf,
    to: _Text = "",
    workspace: _Text = "",
    role: _Text = "editor",
    is_admin: _Text = "",
) -> Response:
    """Invite somebody; this answer is the only one that holds their link."""
    given = {"to": to, "workspace": workspace, "role": role, "is_admin": is_admin == "yes"}
    try:
        grants = [{"workspace": workspace.strip(), "role": role}] if workspace.strip() else []
        form = forms.read(InvitationCreate, to=to.strip(), is_admin=is_admin == "yes", workspaces=grants)
        made = await services.invitations.create(who, form)
    except StudioloError as problem:
        return await show_people(request, who, services, problem=problem, form=given)
    return await show_people(request, who, services, invited=made)


@router.post("/admin/people/invitations/{invitation}/renew")
async def renew(
    request: Request,
    invitation: str,
    who: Annotated[Principal, Depends(Allow("invitation.renew"))],
    services: ServicesOf,
) -> Response:
    """Make a new link for an invitation; the old one ends."""
    return await show_people(request, who, services, invited=await services.invitations.renew(who, invitation))


@router.post("/admin/people/invitations/{invitation}/withdraw")
async def withdraw(
    invitation: str, who: Annotated[Principal, Depends(Allow("invitation.withdraw"))], services: ServicesOf
) -> Response:
    """Withdraw an invitation."""
    await services.invitations.withdraw(who, invitation)
    return see(f"{_HOME}#invited", "withdrawn")


@router.post("/admin/people/{person}/sign-in-link")
async def new_link(
    request: Request,
    person: str,
    who: Annotated[Principal, Depends(Allow("person.reset"))],
    services: ServicesOf,
) -> Response:
    """Make a new sign-in link; earlier unused ones end."""
    return await show_people(request, who, services, link=await services.accounts.create_sign_in_link(who, person))


def send_text(link: SignInLink, platform: str) -> str:
    """Return the text to send to somebody with their sign-in link."""
    notice = f"\n\nKnow before you put files there: {link.notice}" if link.notice else ""
    return f"You can sign in to {platform} with this link. It works once.\n\n{link.url}{notice}"


async def show_people(
    request: Request,
    who: Principal,
    services: Services,
    *,
    text: str = "",
    kind: Kind | None = None,
    cursor: str | None = None,
    link: SignInLink | None = None,
    invited: InvitationLink | None = None,
    problem: StudioloError | None = None,
    form: dict[str, Any] | None = None,
) -> Response:
    """Render the page with what was just made or went wrong."""
    found = await services.directory.list_people(who, text=text or None, kind=kind, cursor=cursor, limit=PAGE_SIZE)
    pending = await services.invitations.list_(who, limit=PAGE_SIZE)
    query = {name: value for name, value in (("q", text), ("kind", kind or "")) if value}
    return await render(
        request,
        "people.html",
        who,
        status=status_of(problem),
        people=found.items,
        text=text,
        kind=kind,
        pending=pending.items,
        invited=invited,
        link=link,
        link_text=send_text(link, services.platform.name) if link else "",
        now=services.clock.now(),
        problem=problem,
        canonical=_HOME if cursor is None and not query else None,
        form=form or {"to": "", "workspace": "", "role": "editor", "is_admin": False},
        roles=[role.value for role in Role],
        **pager(_HOME, found.next_cursor, cursor, query),
    )
