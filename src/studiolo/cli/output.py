"""Print results: data on stdout, everything else on stderr, JSON when asked for."""

import json
import sys
import unicodedata
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel

from studiolo.cli.invocation import current
from studiolo.contract.models import Session, Workspace
from studiolo.contract.operations import SCOPES

# Shape and word carry the state; the colour (an ANSI code) only repeats them.
STATES = {
    "running": ("●", "32"),
    "starting": ("◐", "33"),
    "stopping": ("◐", "33"),
    "stopped": ("○", "2"),
    "failed": ("✕", "31"),
    "unknown": ("?", "33"),
}
# Marks by which text written by others can show itself in another order (Unicode, annex 9).
_REVERSING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_UNITS = (("d", 86400), ("h", 3600), ("min", 60))


def emit(data: Any, text: Callable[[], None]) -> None:
    """Print `data` (wire models, or lists and dicts of them) as JSON if asked for; else call `text` to print it."""
    if current().json:
        print(json.dumps(_plain(data), indent=2, ensure_ascii=False))
    else:
        text()


def say(message: str) -> None:
    """Tell the person something that is not data."""
    print("\n".join(harmless(line) for line in message.split("\n")), file=sys.stderr)


def print_fields(fields: Sequence[tuple[str, str]]) -> None:
    """Print names and values, one a line; empty values are left out."""
    width = max(len(name) for name, _ in fields)
    for name, value in fields:
        if value:
            below = "\n" + " " * (width + 3)
            print(f"{name + ':':<{width + 1}}  {below.join(map(harmless, value.splitlines()))}", flush=True)


def harmless(text: str) -> str:
    """Return the text with what would command a terminal (escapes, line breaks, reversed writing) made visible."""
    spaced = text.replace("\n", " ").replace("\t", " ")
    return "".join("�" if unicodedata.category(sign) == "Cc" or sign in _REVERSING else sign for sign in spaced)


def state_of(session: Session) -> str:
    """Return a session's state as shape and word; one that starts may wait for a place."""
    waits = session.state == "starting" and session.progress is not None and session.progress.waiting
    return f"{STATES[session.state][0]} {'waiting' if waits else session.state}"


def name_of(workspace: Workspace) -> str:
    """Return the shortest spelling that every door takes: `name` if it is the caller's own, else `owner/name`."""
    return workspace.name if workspace.role == "owner" else f"{workspace.owner.name}/{workspace.name}"


def scopes_of(scopes: Sequence[str] | None) -> str:
    """Return scopes as a line; `all` for None and where none but the administrators' is missing."""
    given = set(SCOPES if scopes is None else scopes)
    return "all" if given >= SCOPES.keys() - {"platform:admin"} else ", ".join(sorted(given))


def ago(moment: datetime | None, *, now: datetime | None = None) -> str:
    """Return how long ago (or how soon) a moment is, for example `3 min ago`; empty for None."""
    if moment is None:
        return ""
    seconds = ((now or datetime.now(UTC)) - moment).total_seconds()
    for unit, size in _UNITS:
        if seconds >= size:
            return f"{int(seconds // size)} {unit} ago"
        # What was given seven days a moment ago ends in seven, not in six, and 90 minutes are not an hour.
        if -seconds >= size and (-seconds >= 2 * size or size == _UNITS[-1][1]):
            return f"in {round(-seconds / size)} {unit}"
    return "just now" if seconds >= 0 else "in a moment"


def _plain(data: Any) -> Any:
    if isinstance(data, BaseModel):
        return data.model_dump(mode="json")
    if isinstance(data, dict):
        return {name: _plain(value) for name, value in data.items()}
    if isinstance(data, list | tuple):
        return [_plain(item) for item in data]
    return data
