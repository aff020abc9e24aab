"""Engines: where sessions run, how each is, what is free there; GPUs, who has them, being told when some are free."""

from typing import Annotated

from fastapi import Depends, Form, Request
from fastapi.responses import Response

from studiolo.contract.errors import StudioloError
from studiolo.contract.gpus import GPUNotify, GPUOverview
from studiolo.server.http.identity import Allow
from studiolo.server.principal import Principal
from studiolo.server.services import Services
from studiolo.server.web import forms
from studiolo.server.web.render import render, see
from studiolo.server.web.routing import ServicesOf, pages_router, status_of

router = pages_router()
_HERE = "/engines"
_Text = Annotated[str, Form(max_length=200)]


@router.get(_HERE)
async def show(
    request: Request, who: Annotated[Principal, Depends(Allow("engine.list"))], services: ServicesOf
) -> Response:
    """All of them, the default first."""
    return await _show(request, who, services)


@router.post(f"{_HERE}/gpus/notify")
async def notify(
    request: Request,
    who: Annotated[Principal, Depends(Allow("gpu.notify"))],
    services: ServicesOf,
    count: _Text = "1",
    kind: _Text = "",
) -> Response:
    """Tell me when free. `kind`: engine and type as `_list_kinds` has them, parted by a space."""
    engine, _, type_ = kind.partition(" ")
    try:
        await services.gpus.notify(who, forms.read(GPUNotify, count=count, engine=engine or None, type=type_ or None))
    except StudioloError as problem:
        return await _show(request, who, services, problem=problem, form={"count": count, "kind": kind})
    return see(f"{_HERE}#gpus", "will-be-told")


@router.post(f"{_HERE}/gpus/withdraw")
async def withdraw(who: Annotated[Principal, Depends(Allow("gpu.withdraw"))], services: ServicesOf) -> Response:
    """Wait no more."""
    await services.gpus.withdraw(who)
    return see(f"{_HERE}#gpus", "waits-no-more")


async def _show(
    request: Request,
    who: Principal,
    services: Services,
    *,
    problem: StudioloError | None = None,
    form: dict[str, str] | None = None,
) -> Response:
    gpus = await services.gpus.list_(who)
    return await render(
        request,
        "engines.html",
        who,
        status=status_of(problem),
        engines=await services.inspection.engines(who),
        gpus=gpus,
        kinds=_list_kinds(gpus),
        form=form or {"count": "", "kind": ""},
        problem=problem,
        canonical=_HERE if problem else None,
    )


def _list_kinds(gpus: GPUOverview) -> list[tuple[str, str]]:
    """Return what can be waited for, as engine and type; an empty type is any."""
    engines = dict.fromkeys(gpu.engine for gpu in gpus.gpus)
    types = {engine: dict.fromkeys(gpu.type for gpu in gpus.gpus if gpu.engine == engine) for engine in engines}
    return [(engine, kind) for engine in engines for kind in ("", *types[engine])]
