"""Pages for administrators: health, people and the record of changes."""

from typing import Annotated, Any

from fastapi import Depends, Form, Request
from fastapi.responses import Response

from studiolo.contract.errors import StudioloError
from studiolo.contract.models import PersonCreate, SignInLink
from studiolo.server.http.identity import Allow
from studiolo.server.principal import Principal
from studiolo.server.services import Services
from studiolo.server.web import forms
from studiolo.server.web.render import render
from studiolo.server.web.routing import PAGE_SIZE, Cursor, ServicesOf, pager, pages_router, status_of

router = pages_router()
_Text = Annotated[str, Form(max_length=1000)]


@router.get("/admin")
async def health(
    request: Request, who: Annotated[Principal, Depends(Allow("platform.inspect"))], services: ServicesOf
) -> Response:
    """Whether all is well, and what is used."""
    found, engines = await services.inspection.health(who), await services.inspection.engines(who)
    return await render(request, "health.html", who, health=found, engines=engines)


@router.get("/admin/people")
async def people(
    request: Request,
    who: Annotated[Principal, Depends(Allow("person.list"))],
    services: ServicesOf,
    cursor: Cursor = None,
) -> Response:
    """Everybody, by name."""
    return await _show_people(request, who, services, cursor=cursor)


@router.post("/admin/people")
async def add_person(
    request: Request,
    who: Annotated[Principal, Depends(Allow("person.create"))],
    services: ServicesOf,
    name: _Text = "",
    display_name: _Text = "",
    email: _Text = "",
    is_admin: _Text = "",
) -> Response:
    """Add somebody; this answer is the only one that holds their link."""
    given = {"name": name, "display_name": display_name, "email": email, "is_admin": is_admin == "yes"}
    try:
        form = forms.read(
            PersonCreate,
            name=name.strip(),
            display_name=display_name.strip() or None,
            email=email.strip() or None,
            is_admin=is_admin == "yes",
        )
        link = await services.accounts.create_person(who, form)
    except StudioloError as problem:
        return await _show_people(request, who, services, problem=problem, form=given)
    return await _show_people(request, who, services, link=link)


@router.post("/admin/people/{person}/sign-in-link")
async def new_link(
    request: Request,
    person: str,
    who: Annotated[Principal, Depends(Allow("person.reset"))],
    services: ServicesOf,
) -> Response:
    """Make a new link; earlier unused ones end."""
    return await _show_people(request, who, services, link=await services.accounts.create_sign_in_link(who, person))


@router.get("/admin/audit")
async def audit(
    request: Request,
    who: Annotated[Principal, Depends(Allow("audit.list"))],
    services: ServicesOf,
    cursor: Cursor = None,
) -> Response:
    """What was changed, newest first."""
    found = await services.audit.list_(who, cursor=cursor, limit=PAGE_SIZE)
    pages = pager("/admin/audit", found.next_cursor, cursor)
    return await render(request, "audit.html", who, events=found.items, **pages)


def invite(link: SignInLink, platform: str) -> str:
    """Return the text to send to somebody with their link."""
    notice = f"\n\nKnow before you put files there: {link.notice}" if link.notice else ""
    return f"You can sign in to {platform} with this link. It works once.\n\n{link.url}{notice}"


async def _show_people(
    request: Request,
    who: Principal,
    services: Services,
    *,
    cursor: str | None = None,
    link: SignInLink | None = None,
    problem: StudioloError | None = None,
    form: dict[str, Any] | None = None,
) -> Response:
    found = await services.accounts.list_people(who, cursor=cursor, limit=PAGE_SIZE)
    return await render(
        request,
        "people.html",
        who,
        status=status_of(problem),
        people=found.items,
        link=link,
        invitation=invite(link, services.platform.name) if link else "",
        problem=problem,
        canonical="/admin/people" if cursor is None else None,
        form=form or {"name": "", "display_name": "", "email": "", "is_admin": False},
        **pager("/admin/people", found.next_cursor, cursor),
    )
