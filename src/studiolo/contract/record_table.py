"""The record of changes as a table for spreadsheets: CSV as RFC 4180 has it."""

import csv
import io
import json
from collections.abc import Iterable, Iterator

from studiolo.contract.models import AuditEvent

_HEAD = ("at", "actor", "via", "action", "target", "workspace_id", "detail")
# What a spreadsheet would take for a formula, in names that people choose.
_FORMULAS = ("=", "+", "-", "@", "\t", "\r")


def head() -> str:
    """Return the first line: the names of the columns."""
    return _line(_HEAD)


def lines(events: Iterable[AuditEvent]) -> Iterator[str]:
    """Yield a line for each event. A text that a spreadsheet would compute has an apostrophe before it."""
    for event in events:
        actor = event.actor.name if event.actor else ""
        detail = json.dumps(event.detail, ensure_ascii=False, sort_keys=True)
        texts = (actor, event.via, event.action, event.target, event.workspace_id or "", detail)
        yield _line((event.at.isoformat(), *texts))


def _line(cells: Iterable[str]) -> str:
    out = io.StringIO()
    csv.writer(out).writerow(f"'{cell}" if cell.startswith(_FORMULAS) else cell for cell in cells)
    return out.getvalue()
