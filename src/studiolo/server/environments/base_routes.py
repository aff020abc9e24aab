"""REST of bases."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from studiolo.contract.environments import Base, BaseCreate
from studiolo.contract.models import Page
from studiolo.server.environments.bases import Bases
from studiolo.server.http.identity import Allow
from studiolo.server.http.services import service
from studiolo.server.principal import Principal

router = APIRouter(prefix="/jupyter/bases", tags=["environments"])
_Bases = Annotated[Bases, Depends(service("bases"))]
_Changes = Annotated[Principal, Depends(Allow("base.change"))]


@router.get("")
async def list_bases(who: Annotated[Principal, Depends(Allow("base.list"))], bases: _Bases) -> Page[Base]:
    """What environments begin from; one page has all."""
    return Page(items=await bases.list_(who))


@router.post("", status_code=201)
async def add_base(form: BaseCreate, who: _Changes, bases: _Bases) -> Base:
    """Resolve and lock what a file lists; it is built at its first use."""
    return await bases.add(who, form)


@router.post("/{base}/default")
async def choose_base(base: str, who: _Changes, bases: _Bases) -> Page[Base]:
    """Have new workspaces begin from it unless they name another; `default` is the platform's own."""
    return Page(items=await bases.choose(who, base))


@router.delete("/{base}", status_code=204)
async def remove_base(base: str, who: _Changes, bases: _Bases) -> Response:
    """Take it off the catalogue, unless it is used."""
    await bases.remove(who, base)
    return Response(status_code=204)
