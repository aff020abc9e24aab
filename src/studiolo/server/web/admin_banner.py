"""Page for administrators: what everybody is told."""

from typing import Annotated

from fastapi import Depends, Form, Request
from fastapi.responses import Response

from studiolo.contract.errors import StudioloError
from studiolo.contract.people import BannerPost
from studiolo.server.http.identity import Allow
from studiolo.server.principal import Principal
from studiolo.server.web import forms
from studiolo.server.web.render import render, see
from studiolo.server.web.routing import ServicesOf, pages_router, status_of

router = pages_router()
_Text = Annotated[str, Form(max_length=1000)]
# How long it is told, as people say it, in minutes; empty: until it is taken down.
SPANS = {
    "15": "15 minutes",
    "60": "1 hour",
    "240": "4 hours",
    "1440": "1 day",
    "10080": "1 week",
    "": "until taken down",
}


@router.get("/admin/banner")
async def show(request: Request, who: Annotated[Principal, Depends(Allow("banner.post"))]) -> Response:
    """What everybody is told now, and the form to tell something else."""
    return await _show(request, who)


@router.post("/admin/banner")
async def post(
    request: Request,
    who: Annotated[Principal, Depends(Allow("banner.post"))],
    services: ServicesOf,
    text: _Text = "",
    level: _Text = "info",
    minutes: _Text = "",
) -> Response:
    """Tell everybody something."""
    try:
        form = forms.read(BannerPost, text=text.strip(), level=level, minutes=minutes or None)
        await services.banners.post(who, form)
    except StudioloError as problem:
        given = {"text": text, "level": level, "minutes": minutes}
        return await _show(request, who, problem=problem, form=given)
    return see("/admin/banner", "told")


@router.post("/admin/banner/clear")
async def clear(who: Annotated[Principal, Depends(Allow("banner.post"))], services: ServicesOf) -> Response:
    """Take it down."""
    await services.banners.withdraw(who)
    return see("/admin/banner", "taken-down")


async def _show(
    request: Request, who: Principal, *, problem: StudioloError | None = None, form: dict[str, str] | None = None
) -> Response:
    return await render(
        request,
        "banner.html",
        who,
        status=status_of(problem),
        problem=problem,
        spans=SPANS,
        form=form or {"text": "", "level": "info", "minutes": "60"},
        canonical="/admin/banner",
    )
