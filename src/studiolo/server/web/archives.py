"""A workspace out as one archive, and in again."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, Request
from fastapi.responses import Response, StreamingResponse
from starlette.datastructures import UploadFile

from studiolo.contract.errors import InvalidInput, StudioloError
from studiolo.server.http.identity import Allow
from studiolo.server.principal import Principal
from studiolo.server.web.render import render, see
from studiolo.server.web.routing import ServicesOf, pages_router, status_of
from studiolo.server.workspaces.archive_routes import attachment

router = pages_router()
_PIECE = 1 << 20


@router.get("/w/{workspace}/archive")
async def export_archive(
    workspace: str, who: Annotated[Principal, Depends(Allow("workspace.archive"))], services: ServicesOf
) -> Response:
    """Its files and description as one zip."""
    name, pieces = await services.exports.archive(who, workspace)
    return StreamingResponse(pieces, media_type="application/zip", headers=attachment(name))


@router.get("/workspaces/import")
async def ask(
    request: Request, who: Annotated[Principal, Depends(Allow("workspace.import"))], services: ServicesOf
) -> Response:
    """Ask for an archive."""
    return await render(request, "import.html", who, imported=None, name="")


@router.post("/workspaces/import")
async def import_archive(
    request: Request, who: Annotated[Principal, Depends(Allow("workspace.import"))], services: ServicesOf
) -> Response:
    """Make a workspace from an archive; go there, or first say what could not be taken over."""
    name = ""
    try:
        # Not as parameters: those would be read before anybody asked who sends them.
        async with request.form() as form:
            sent, name = form.get("archive"), str(form.get("name") or "").strip()
            if not isinstance(sent, UploadFile) or not sent.filename:
                raise InvalidInput("archive-invalid", "No file was chosen.", hint="Choose a zip.")
            imported = await services.imports.import_(who, _pieces(sent), name=name or None)
    except StudioloError as problem:
        context = {"imported": None, "name": name, "problem": problem, "canonical": "/workspaces/import"}
        return await render(request, "import.html", who, status=status_of(problem), **context)
    if imported.unknown_members or imported.left_out or imported.packages:
        return await render(request, "import.html", who, imported=imported, name="", canonical="/workspaces/import")
    return see(f"/w/{imported.workspace.id}", "imported")


async def _pieces(sent: UploadFile) -> AsyncIterator[bytes]:
    while piece := await sent.read(_PIECE):
        yield piece
