"""Requests for packages: asking for one, and the list of them, where administrators decide."""

from datetime import UTC, datetime, time
from typing import Annotated, Any

from fastapi import Depends, Form, Query, Request
from fastapi.responses import Response

from studiolo.contract.errors import InvalidInput, StudioloError
from studiolo.contract.models import Page
from studiolo.contract.requests import Approval, Denial, PackageAsk, PackageRequest, Ruling
from studiolo.server.http.identity import Allow
from studiolo.server.principal import Principal
from studiolo.server.requests.wishes import read_wish
from studiolo.server.services import Services
from studiolo.server.web import forms
from studiolo.server.web.render import render, see
from studiolo.server.web.routing import PAGE_SIZE, Cursor, ServicesOf, find_services, pager, pages_router, status_of

router = pages_router()
_HERE = "/requests"
_Asks = Annotated[Principal, Depends(Allow("request.create"))]
_Decides = Annotated[Principal, Depends(Allow("request.decide"))]
_Text = Annotated[str, Form(max_length=3000)]


@router.get("/w/{workspace}/request")
async def asking(
    request: Request,
    workspace: str,
    who: _Asks,
    services: ServicesOf,
    package: Annotated[str, Query(max_length=300)] = "",
    ecosystem: Annotated[str, Query(max_length=10)] = "pypi",
) -> Response:
    """What the policy says of a package, and asking for it; refusals lead here."""
    return await _show_asking(request, who, workspace, {"package": package, "ecosystem": ecosystem, "purpose": ""})


@router.post("/w/{workspace}/request")
async def ask(
    request: Request,
    workspace: str,
    who: _Asks,
    services: ServicesOf,
    package: _Text = "",
    ecosystem: _Text = "pypi",
    purpose: _Text = "",
) -> Response:
    """Ask, or join those who asked."""
    given = {"package": package, "ecosystem": ecosystem, "purpose": purpose}
    try:
        made = await services.requests.ask(who, workspace, forms.read(PackageAsk, **given))
    except StudioloError as problem:
        return await _show_asking(request, who, workspace, given, problem=problem)
    return see(f"{_HERE}?request={made.id}", "asked")


@router.get(_HERE)
async def show(
    request: Request,
    who: Annotated[Principal, Depends(Allow("request.list"))],
    services: ServicesOf,
    chosen: Annotated[str, Query(alias="request", max_length=32)] = "",
    everything: Annotated[str, Query(alias="all", max_length=3)] = "",
    reason: Annotated[str, Query(max_length=2000)] = "",
    cursor: Cursor = None,
) -> Response:
    """Those that wait, or all; one of them in full. `reason`: of a denial, to be shown as its reader sees it."""
    return await _show(request, who, chosen, everything=bool(everything), reason=reason, cursor=cursor)


@router.post(f"{_HERE}/{{request_id}}/approve")
async def approve(
    request: Request,
    request_id: str,
    who: _Decides,
    services: ServicesOf,
    scope: _Text = "workspace",
    until: _Text = "",
    version: _Text = "",
    reason: _Text = "",
    exception: _Text = "",
    with_dependencies: _Text = "",
) -> Response:
    """Allow what was asked for."""
    try:
        form = forms.read(
            Approval,
            scope=scope,
            until=_end_of(until),
            version=version.strip() or None,
            reason=reason.strip(),
            exception=exception == "yes",
            with_dependencies=with_dependencies == "yes",
        )
        await services.request_decisions.approve(who, request_id, form)
    except StudioloError as problem:
        return await _show(request, who, request_id, problem=problem)
    return see(f"{_HERE}?request={request_id}", "approved")


@router.post(f"{_HERE}/{{request_id}}/deny")
async def deny(request: Request, request_id: str, who: _Decides, services: ServicesOf, reason: _Text = "") -> Response:
    """Refuse it."""
    try:
        await services.request_decisions.deny(who, request_id, forms.read(Denial, reason=reason))
    except StudioloError as problem:
        return await _show(request, who, request_id, problem=problem, reason=reason)
    return see(f"{_HERE}?request={request_id}", "denied")


@router.post(f"{_HERE}/{{request_id}}/install")
async def install_again(request: Request, request_id: str, who: _Decides, services: ServicesOf) -> Response:
    """Try its installation once more."""
    try:
        await services.request_decisions.install_again(who, request_id)
    except StudioloError as problem:
        return await _show(request, who, request_id, problem=problem)
    return see(f"{_HERE}?request={request_id}", "installing")


@router.post(f"{_HERE}/{{request_id}}/withdraw")
async def withdraw(
    request: Request,
    request_id: str,
    who: Annotated[Principal, Depends(Allow("request.withdraw"))],
    services: ServicesOf,
) -> Response:
    """Take one's wish back."""
    try:
        await services.requests.withdraw(who, request_id)
    except StudioloError as problem:
        return await _show(request, who, request_id, problem=problem)
    return see(f"{_HERE}?request={request_id}", "wish-withdrawn")


async def _show_asking(
    request: Request, who: Principal, workspace: str, form: dict[str, str], *, problem: StudioloError | None = None
) -> Response:
    services = find_services(request)
    await services.requests.find_place(who, workspace)
    own = await services.workspaces.get(who, workspace)
    judged: Ruling | None = None
    pending: PackageRequest | None = None
    name, passing = "", list[str]()
    if form["package"].strip():
        try:
            wish = forms.read(PackageAsk, **form)
            judged, pending = await services.requests.consider(who, own.id, wish)
            if judged.verdict == "hide":
                name, _ = read_wish(wish.package, wish.ecosystem)
                passing = await services.requests.passing(own.id, wish.ecosystem, name)
        except InvalidInput as wrong:
            problem = problem or wrong
    return await render(
        request,
        "request_ask.html",
        who,
        status=status_of(problem),
        workspace=own,
        form=form,
        judged=judged,
        pending=pending,
        name=name,
        passing=passing,
        is_on=services.requests.is_on,
        problem=problem,
        canonical=f"/w/{own.id}/request" if problem else None,
    )


async def _show(
    request: Request,
    who: Principal,
    chosen: str,
    *,
    everything: bool = False,
    reason: str = "",
    cursor: str | None = None,
    problem: StudioloError | None = None,
) -> Response:
    services = find_services(request)
    # Who decides looks at what waits; who asked, at how it went.
    is_all = everything or not who.is_admin
    found = await services.requests.list_(who, state=None if is_all else "pending", cursor=cursor, limit=PAGE_SIZE)
    one = await _choose(services, who, chosen, found)
    query = {"all": "yes"} if everything else {}
    context: dict[str, Any] = pager(_HERE, found.next_cursor, cursor, query)
    if one is not None:
        mark = "&" if "?" in context["here"] else "?"
        context["here"] += f"{mark}request={one.id}"
    return await render(
        request,
        "requests.html",
        who,
        status=status_of(problem),
        requests=found.items,
        one=one,
        is_all=is_all,
        everything=everything,
        is_on=services.requests.is_on,
        reason=reason,
        waits=await services.requests.usual_wait(),
        problem=problem,
        canonical=f"{_HERE}?request={chosen}" if problem else None,
        **context,
    )


async def _choose(
    services: Services, who: Principal, chosen: str, found: Page[PackageRequest]
) -> PackageRequest | None:
    if chosen:
        return await services.requests.get(who, chosen)
    return found.items[0] if found.items else None


def _end_of(day: str) -> datetime | None:
    """Return the end of a day that a form names, UTC; raises InvalidInput (`request-invalid`)."""
    if not day.strip():
        return None
    try:
        return datetime.combine(datetime.fromisoformat(day.strip()).date(), time.max, UTC)
    except ValueError as exc:
        raise InvalidInput("request-invalid", f"{day[:20]!r} is no day.", hint="For example 2026-12-31.") from exc
