"""From a kernel's row to what people see of it."""

from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping

from studiolo.contract.kernels import KernelInfo
from studiolo.contract.models import PersonRef, Reason, WorkspaceRef
from studiolo.contract.resources import Resources
from studiolo.server.sessions.queries import KERNELS

_WORDS = {
    "stopped-by-person": "Stopped by {by}.",
    "workspace-deleted": "Stopped because {by} deleted the workspace or ended the access to it.",
    "workspace-reset": "Stopped because {by} reset the workspace.",
    "platform-stopped": "Stopped with the platform.",
}


def kernel_wire(row: RowMapping, *, address: str, here: str) -> KernelInfo:
    """Return the wire model of a described row (see queries). `here`: the engine of kernels on this machine."""
    # That a headless kernel elsewhere lives in a row of sessions is no business of people.
    session_id = row["session_id"] if row["session_kind"] != KERNELS else None
    place = f"/s/{session_id}/" if session_id else f"/w/{row['workspace_id']}/"
    return KernelInfo(
        id=row["id"],
        name=row["spec"],
        display_name=row["display_name"],
        workspace=WorkspaceRef(id=row["workspace_id"], name=row["workspace_name"], owner=row["owner_name"]),
        session_id=session_id,
        engine=row["session_engine"] or here,
        shared=row["session_id"] is None,
        person=PersonRef(id=row["person_id"], name=row["person_name"], display_name=row["person_display_name"]),
        path=row["path"],
        state=row["state"],
        connections=row["connections"],
        output=row["output"],
        started_at=row["started_at"] or row["created_at"],
        last_active_at=row["last_active_at"],
        ended_at=row["ended_at"],
        reason=Reason.model_validate(row["reason"]) if row["reason"] else None,
        environment=row["environment"],
        resources=Resources.model_validate((row["allowed"] or {}).get("resources") or {}),
        api_url=address + place,
    )


def end_reason(stop: dict[str, Any] | None, code: str, message: str, at: datetime) -> dict[str, Any]:
    """Return a Reason as JSON: somebody's wish if there was one, else what the host saw."""
    if stop is not None and stop["code"] in _WORDS:
        code, message = stop["code"], _WORDS[stop["code"]].format(by=stop.get("by") or "somebody")
    return Reason(code=code, message=message, at=at).model_dump(mode="json")
