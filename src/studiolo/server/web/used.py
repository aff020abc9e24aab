"""What a workspace used, as lines over a week and a year, with the numbers behind them."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import Depends, Request
from fastapi.responses import Response

from studiolo.contract.resources import UsedSpan
from studiolo.server.http.identity import Allow
from studiolo.server.principal import Principal
from studiolo.server.web.charts import Chart, draw
from studiolo.server.web.render import render
from studiolo.server.web.routing import ServicesOf, pages_router

router = pages_router()
_WEEK = timedelta(days=8)


@router.get("/w/{workspace}/usage")
async def show(
    request: Request, workspace: str, who: Annotated[Principal, Depends(Allow("workspace.usage"))], services: ServicesOf
) -> Response:
    """A workspace: what its sessions used, by hour for a week, by day for a year."""
    own = await services.workspaces.get(who, workspace)
    found, now = await services.usage_history.get(who, own.id), services.clock.now()
    return await render(
        request,
        "workspace_usage.html",
        who,
        workspace=own,
        cpu_chart=_line(found.hours, now, "cpu_hours"),
        memory_chart=_line(found.hours, now, "memory_peak"),
        disk_chart=_sizes([*found.days, *found.hours], now),
        hours=found.hours[::-1],
        days=found.days[::-1],
    )


def _line(hours: Sequence[UsedSpan], now: datetime, what: str) -> Chart | None:
    """Return the line of a week, nothing where nothing ran; None where nothing ran at all."""
    if not hours:
        return None
    known = {span.at: float(getattr(span, what)) for span in hours}
    last = now.replace(minute=0, second=0, microsecond=0)
    steps = int(_WEEK / timedelta(hours=1))
    times = [last - timedelta(hours=steps - step) for step in range(steps + 1)]
    return draw([(at, known.get(at, 0.0)) for at in times], limit=None, gap=timedelta(hours=2))


def _sizes(spans: Sequence[UsedSpan], now: datetime) -> Chart | None:
    """Return the line of the files' size over a week; it stays as it was until it changes."""
    known = [(span.at, float(span.disk)) for span in spans if span.disk is not None]
    before = [size for at, size in known if at <= now - _WEEK][-1:]
    inside = [(at, size) for at, size in known if at > now - _WEEK]
    points = [*((now - _WEEK, size) for size in before), *inside]
    return draw([*points, (now, points[-1][1])], limit=None, gap=2 * _WEEK) if points else None
