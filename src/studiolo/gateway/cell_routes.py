"""What a kernel put out, cell by cell, for who was away. Ours, beside Jupyter's API."""

from dataclasses import asdict
from http import HTTPStatus
from typing import Any

from aiohttp import web

from studiolo.gateway.asking import Ask
from studiolo.gateway.bodies import number
from studiolo.gateway.cells import CellRun
from studiolo.gateway.wire import dump


async def cells(ask: Ask) -> web.Response:
    """`GET …/cells?after=N`: the last run of each cell that changed since then, and of those that go on.

    {last: N to follow the journal from, cells: {cell id: see `_model`}}.
    """
    hosted = ask.registry.find_kept(ask.scope, ask.names["kernel"])
    found = await hosted.read_cells()
    runs = found.since(number(ask.request.query, "after") or 0)
    body = dump({"last": found.last, "cells": {cell: _model(run) for cell, run in runs.items()}})
    return web.Response(status=HTTPStatus.OK, body=body, content_type="application/json")


def _model(run: CellRun) -> dict[str, Any]:
    """Return a run as JSON: `state` is running or done; `at` and `changed_at` are seconds since 1970."""
    members = asdict(run)
    del members["code"]
    return {**members, "state": "running" if members.pop("is_running") else "done"}
