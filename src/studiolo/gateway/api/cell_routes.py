"""What a kernel put out, cell by cell, for who was away. Ours, beside Jupyter's API."""

import asyncio
from dataclasses import asdict
from http import HTTPStatus
from typing import Any

from aiohttp import web

from studiolo.contract.errors import Conflict
from studiolo.gateway.api.asking import Ask
from studiolo.gateway.api.bodies import number
from studiolo.gateway.filling.cells import CellRun
from studiolo.gateway.filling.notebooks import Saved, UnusableNotebookError, write
from studiolo.gateway.filling.unattended import record_of
from studiolo.gateway.messages.wire import dump


async def cells(ask: Ask) -> web.Response:
    """`GET …/cells?after=N&since=S`: the last run of each cell that changed since then, and of those that go on.

    `since`: seconds since 1970, as when the notebook was saved. {last: number to follow the journal from, cells:
    {cell id: see `_model`}}.
    """
    hosted = ask.registry.find_kept(ask.scope, ask.names["kernel"])
    found = await hosted.read_cells()
    runs, since = found.since(number(ask.request.query, "after") or 0), number(ask.request.query, "since") or 0
    told = {cell: _model(run) for cell, run in runs.items() if run.is_running or run.changed_at > since}
    body = dump({"last": found.last, "cells": told})
    return web.Response(status=HTTPStatus.OK, body=body, content_type="application/json")


async def insert(ask: Ask) -> web.Response:
    """`POST …/notebook`: write what its cells put out into the kernel's notebook, now; {path, saved}.

    `saved` is written or unchanged. Raises Conflict (`notebook-open`, `notebook-changed`), InvalidInput
    (`notebook-unusable`). Cells whose source was changed since stay as they are.
    """
    hosted = ask.registry.find_kept(ask.scope, ask.names["kernel"])
    plan = hosted.record.plan
    path = ask.services.documents.path_of(hosted.scope, hosted.id) or plan.path
    if plan.root is None or not path or not path.endswith(".ipynb"):
        raise UnusableNotebookError("the kernel was started for none")
    if hosted.connections:
        raise Conflict(
            "notebook-open",
            f"Somebody has {path} open, or is connected to its kernel: the output is there already.",
            hint="Open the notebook to see and save it.",
        )
    found = await hosted.read_cells()
    outcome = await asyncio.to_thread(write, plan.root, path, found.since(-1), record_of(plan), after=-1)
    if outcome.saved is Saved.CONFLICT:
        raise Conflict("notebook-changed", f"Somebody changed {path} at the same time.", hint="Try again.")
    if outcome.saved is Saved.REFUSED:
        raise UnusableNotebookError(outcome.reason)
    if hosted.kernel is not None:
        hosted.kernel.mark_seen(found.last)
    return web.json_response({"path": path, "saved": outcome.saved})


def _model(run: CellRun) -> dict[str, Any]:
    """Return a run as JSON: `state` is running or done; `at` and `changed_at` are seconds since 1970."""
    members = asdict(run)
    del members["code"]
    return {**members, "state": "running" if members.pop("is_running") else "done"}
