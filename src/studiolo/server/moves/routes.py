"""REST of moves: a workspace to another engine, with its files."""

from typing import Annotated

from fastapi import APIRouter, Depends

from studiolo.contract.moves import Move, MoveProgress
from studiolo.server.http.identity import Allow
from studiolo.server.http.services import service
from studiolo.server.moves.service import Moves
from studiolo.server.principal import Principal

router = APIRouter(prefix="/jupyter/workspaces/{workspace}/move", tags=["workspaces"])
_Moves = Annotated[Moves, Depends(service("moves"))]
_Changes = Annotated[Principal, Depends(Allow("workspace.move"))]


@router.post("", status_code=202)
async def start_move(workspace: str, form: Move, who: _Changes, moves: _Moves) -> MoveProgress:
    """Begin to move it to another engine. No session may run; what it leaves is kept until the move is confirmed."""
    return await moves.begin(who, workspace, form)


@router.get("")
async def get_move(
    workspace: str, who: Annotated[Principal, Depends(Allow("workspace.move-read"))], moves: _Moves
) -> MoveProgress:
    """How the move goes, or how the last one ended."""
    return await moves.progress(who, workspace)


@router.delete("")
async def cancel_move(workspace: str, who: _Changes, moves: _Moves) -> MoveProgress:
    """Take it back, until it is confirmed; changes made on the other engine go."""
    return await moves.cancel(who, workspace)


@router.post("/confirm")
async def confirm_move(workspace: str, who: _Changes, moves: _Moves) -> MoveProgress:
    """Let go of what it left where it came from."""
    return await moves.confirm(who, workspace)
