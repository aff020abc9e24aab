"""REST of archives: a workspace out, a workspace in."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import StreamingResponse
from starlette.requests import ClientDisconnect

from studiolo.contract.archives import Imported
from studiolo.contract.errors import InvalidInput
from studiolo.server.http.identity import Allow
from studiolo.server.http.services import service
from studiolo.server.principal import Principal
from studiolo.server.workspaces.exporting import Exports
from studiolo.server.workspaces.importing import Imports

router = APIRouter(prefix="/jupyter/workspaces", tags=["workspaces"])
_ZIP = "application/zip"
_BODY = {"required": True, "content": {_ZIP: {"schema": {"type": "string", "format": "binary"}}}}


@router.get("/{workspace}/archive", response_class=StreamingResponse, responses={200: {"content": {_ZIP: {}}}})
async def export_archive(
    workspace: str,
    who: Annotated[Principal, Depends(Allow("workspace.archive"))],
    exports: Annotated[Exports, Depends(service("exports"))],
) -> StreamingResponse:
    """Its files and description as one zip, made while it is sent; no secrets."""
    name, pieces = await exports.archive(who, workspace)
    return StreamingResponse(pieces, media_type=_ZIP, headers=attachment(name))


@router.post("/import", status_code=201, openapi_extra={"requestBody": _BODY})
async def import_archive(
    request: Request,
    who: Annotated[Principal, Depends(Allow("workspace.import"))],
    imports: Annotated[Imports, Depends(service("imports"))],
    name: Annotated[str | None, Query(max_length=63, description="Instead of the archive's own.")] = None,
) -> Imported:
    """Make a workspace from such an archive, or from any zip of files; you own it. Not for `Idempotency-Key`."""
    return await imports.import_(who, _pieces(request), name=name)


async def _pieces(request: Request) -> AsyncIterator[bytes]:
    try:
        async for piece in request.stream():
            yield piece
    except ClientDisconnect as exc:
        raise InvalidInput("archive-invalid", "The archive broke off on its way; nothing was imported.") from exc


def attachment(name: str) -> dict[str, str]:
    """Return the headers that have a browser save a workspace's archive."""
    return {"Content-Disposition": f'attachment; filename="{name}.zip"', "X-Content-Type-Options": "nosniff"}
