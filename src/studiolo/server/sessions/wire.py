"""From a session's row to what people see of it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import RowMapping

from studiolo.contract.models import Activity, PersonRef, Progress, Reason, Session, SessionState, Step, WorkspaceRef
from studiolo.contract.resources import MemoryDeath, Resources, UsageSample
from studiolo.contract.sizes import format_size
from studiolo.engines.base import Exit, Handle
from studiolo.server.engines.words import isolation_notice

_WORDS = {
    "stopped-by-person": "Stopped by {by}.",
    "workspace-deleted": "Stopped because {by} deleted the workspace or ended the access to it.",
    "person-suspended": "Stopped because {by} suspended the account.",
    "workspace-reset": "Stopped because {by} reset the workspace.",
    "start-timeout": "Gave up: the server was not ready within {by}.",
    "platform-stopped": "Stopped with the platform.",
    "time-limit": "Stopped: its time limit of {by} was over. Files are here.",
    "idle": "Stopped after {by} without activity. Files and output are here.",
}


# What an engine saw, as a sentence for people and what to do about it; the engine's own words stand behind.
_ENDS = {
    "time-limit": (
        "Its time limit was over.",
        "Files are here. Start it again, with a longer time limit if it may be.",
    ),
    "evicted": ("The engine took its place for something else.", "Files are here. Start it again."),
    "cancelled": ("Somebody ended it at the engine itself.", "Files are here. Start it again."),
    "image-missing": ("Its image could not be had.", "Check the image's name, or leave it out."),
    "no-capacity": ("The engine has no place of that size.", "Ask for less, or choose another engine."),
}


def session_wire(row: RowMapping, *, address: str, isolation: str, now: datetime) -> Session:
    """Return the wire model of a described row (see queries)."""
    return Session(
        id=row["id"],
        name=row["name"],
        workspace=WorkspaceRef(id=row["workspace_id"], name=row["workspace_name"], owner=row["owner_name"]),
        person=PersonRef(id=row["person_id"], name=row["person_name"], display_name=row["person_display_name"]),
        engine=row["engine"],
        state=SessionState(row["state"]),
        desired=row["desired"],
        launch=row["launch"],
        steps=_steps(row, now),
        progress=Progress.model_validate(row["progress"]) if row["progress"] else None,
        reason=Reason.model_validate(row["reason"]) if row["reason"] else None,
        activity=Activity.model_validate(row["activity"]) if row["activity"] else None,
        has_password=row["password_hash"] is not None,
        isolation=isolation,
        notebook_url=f"{address}/go/{row['id']}",
        api_url=f"{address}/s/{row['id']}/",
        created_at=row["created_at"],
        started_at=row["started_at"],
        ready_at=row["ready_at"],
        ended_at=row["ended_at"],
        profile=(row["allowed"] or {}).get("profile"),
        resources=limits_of(row),
        usage=UsageSample.model_validate(row["usage"]) if row["usage"] and row["state"] == "running" else None,
        idle_stop_at=row["idle_stop_at"],
        ends_at=row["ends_at"],
        isolation_notice=isolation_notice(isolation),
        last_death=MemoryDeath.model_validate(row["deaths"][0]) if row["deaths"] else None,
    )


def limits_of(row: RowMapping) -> Resources:
    """Return what a session's present launch may use."""
    return Resources.model_validate((row["allowed"] or {}).get("resources") or {})


def engine_of(row: RowMapping) -> str:
    """Return the engine where a session's handle is good, which is another than the wanted one while it moves."""
    name: str = row["handle_engine"] or row["engine"]
    return name


def handle_of(row: RowMapping) -> Handle:
    """Return the handle by which the engine knows the session, also one that it has let go of."""
    return row["handle"] or {"workload_id": row["id"], "launch": row["launch"]}


def end_reason(
    stop: Mapping[str, Any] | None, exit_: Exit | None, log_tail: list[str], now: datetime, *, workspace: str
) -> Reason:
    """Say why a session ended: by somebody's wish if there was one, else what the engine saw."""
    if stop is not None and stop["code"] in _WORDS:
        message = _WORDS[stop["code"]].format(by=stop.get("by") or "somebody")
        return Reason(code=stop["code"], message=message, at=exit_.at if exit_ else now, log_tail=log_tail)
    if exit_ is None:
        return Reason(code="vanished", message="It ended, and nobody saw how.", at=now, log_tail=log_tail)
    message, hint = exit_.message, None
    if exit_.reason in _ENDS:
        sentence, hint = _ENDS[exit_.reason]
        message = sentence if not message or message == sentence else f"{sentence} {message}"
    return Reason(
        code=exit_.reason,
        message=message,
        at=exit_.at,
        log_tail=log_tail,
        memory_peak=exit_.memory_peak,
        memory_limit=exit_.memory_limit,
        hint=more_memory(workspace, exit_.memory_limit) if exit_.reason == "out-of-memory" else hint,
    )


def more_memory(workspace: str, limit: int | None) -> str:
    """Say what to do when memory ran out: twice the limit, or less data where the machine itself was the limit."""
    if limit is None:
        return "The whole machine is short of memory: use less data at a time, or stop other sessions."
    return f"Start it again with more memory: studiolo scale {workspace} --memory {format_size(2 * limit)}"


def _steps(row: RowMapping, now: datetime) -> list[Step]:
    """Environment, Queue where it waited for a place, Server, Ready: the seconds each took, the one now marked."""
    waits, placed = bool((row["progress"] or {}).get("waiting")), row["placed_at"]
    names, marks = ["Environment", "Server"], [row["requested_at"], row["started_at"], row["ready_at"]]
    if waits or placed is not None:
        names.insert(1, "Queue")
        marks.insert(2, placed)
    if row["environment_state"] != "ready":
        marks[1:] = [None] * len(names)
    steps, is_failed = [], row["state"] == SessionState.FAILED
    is_open = row["state"] in (SessionState.STARTING, SessionState.UNKNOWN)
    for index, name in enumerate(names):
        begin, end = marks[index], marks[index + 1]
        if end is not None and begin is not None:
            steps.append(Step(name=name, state="done", seconds=round((end - begin).total_seconds(), 3)))
        elif begin is not None:
            state: Literal["failed", "active", "waiting"] = (
                "failed" if is_failed else "active" if is_open else "waiting"
            )
            seconds = round((now - begin).total_seconds(), 1) if state == "active" else None
            steps.append(Step(name=name, state=state, seconds=seconds))
        else:
            steps.append(Step(name=name, state="waiting"))
    steps.append(Step(name="Ready", state="done" if row["ready_at"] is not None else "waiting"))
    return steps
