"""Commands on what sessions use: usage, stats, monitor, snooze."""

import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from studiolo.cli.amounts import cpu_of, describe, memory_of
from studiolo.cli.arguments import SessionArgument, WorkspaceArgument
from studiolo.cli.invocation import connect, current
from studiolo.cli.output import ago, emit, print_fields, say, state_of
from studiolo.cli.session_table import busy
from studiolo.cli.tables import layout, print_table, terminal_width, wants_colour
from studiolo.contract.details import WorkspaceStats
from studiolo.contract.errors import Conflict, NotFound
from studiolo.contract.models import Session
from studiolo.contract.resources import SessionUsage, WorkspaceHistory
from studiolo.contract.sizes import describe_size
from studiolo.sdk import Studiolo

_ALIVE = ("starting", "running", "stopping", "unknown")
_HEADERS = ("SESSION!", "STATE!", "CPU!", "MEMORY!", "PROCESSES!", "BUSY!", "STOPS!")


def usage(session: SessionArgument) -> None:
    """Show what a session uses now, its last hour, and what of it ran out of memory."""
    with connect() as client:
        found = client.sessions.usage(session)
    emit(found, lambda: _print_usage(found))


def stats(
    workspace: WorkspaceArgument,
    history: Annotated[bool, typer.Option("--history", help="By hour for a week, by day for a year.")] = False,
) -> None:
    """Show what a workspace's sessions use now, and what they used.

    \b
    Examples:
      studiolo stats churn
      studiolo stats churn --history
    """
    with connect() as client:
        if history:
            used = client.workspaces.usage(workspace)
            emit(used, lambda: _print_history(used))
            return
        found = client.workspaces.stats(workspace)
    emit(found, lambda: _print_stats(found))


def _print_history(used: WorkspaceHistory) -> None:
    rows = [
        (
            f"{span.at.astimezone():%Y-%m-%d}" + (f" {span.at.astimezone():%H:%M}" if span.seconds == 3600 else ""),
            f"{span.session_hours:.2f}",
            f"{span.cpu_hours:.2f}",
            describe_size(span.memory_peak),
            "" if span.disk is None else describe_size(span.disk),
        )
        for span in [*used.days, *used.hours]
    ]
    print_table(
        ("SINCE!", "SESSION HOURS!", "CPU HOURS!", "MOST MEMORY!", "DISK!"), rows, empty="Nothing was used yet."
    )


def monitor(
    workspace: WorkspaceArgument,
    count: Annotated[
        int | None, typer.Option("--count", "-n", metavar="NUMBER", min=1, help="Look so often, then end.")
    ] = None,
    interval: Annotated[
        float, typer.Option("--interval", metavar="SECONDS", min=0.5, max=3600, help="Time between two looks.")
    ] = 2.0,
) -> None:
    """Watch what a workspace's sessions use: a table that renews itself, until Ctrl-C.

    Where stdout is no terminal, each look prints a line for each session. With --json, one look unless --count
    says more.

    \b
    Examples:
      studiolo monitor churn
      studiolo monitor churn --count 10 --interval 1
    """
    looks = count or (1 if current().json else sys.maxsize)
    seen: list[dict[str, Any]] = []
    with connect() as client:
        found = client.workspaces.get(workspace)
        drawn = 0
        for number in range(looks):
            if number:
                time.sleep(interval)
            at, sessions = datetime.now(UTC), _measured(client, found.id)
            if current().json:
                seen.append({"at": at.isoformat(), "sessions": sessions})
            elif sys.stdout.isatty():
                drawn = _redraw(client.workspaces.stats(found.id), sessions, drawn)
            else:
                _print_lines(at, sessions)
    emit(seen, lambda: None)


def snooze(
    session: SessionArgument,
    minutes: Annotated[int, typer.Option("--minutes", metavar="MINUTES", min=1, max=1440, help="For how long.")] = 120,
) -> None:
    """Keep an idle session running a while longer."""
    with connect() as client:
        kept = client.sessions.snooze(session, minutes=minutes)
    stops = f"; if nobody uses it, it stops {ago(kept.idle_stop_at)}" if kept.idle_stop_at else ""
    emit(kept, lambda: print(f"Keeping {kept.workspace.name}/{kept.name} running{stops}."))


def _measured(client: Studiolo, workspace_id: str) -> list[Session]:
    """Return the workspace's live sessions, their usage measured now."""
    sessions = list(client.sessions.list(workspace=workspace_id, states=_ALIVE, page_size=200))
    for index, session in enumerate(sessions):
        # One that ends between the two questions is shown as it was.
        with suppress(Conflict, NotFound):
            sessions[index] = session.model_copy(update={"usage": client.sessions.usage(session.id).now})
    return sessions


def _row(session: Session) -> tuple[str, ...]:
    processes = session.usage and session.usage.processes
    return (
        session.name,
        state_of(session),
        cpu_of(session.usage, session.resources),
        memory_of(session.usage, session.resources),
        "-" if processes is None else str(processes),
        busy(session),
        ago(session.idle_stop_at) or "-",
    )


def _redraw(stats: WorkspaceStats, sessions: list[Session], drawn: int) -> int:
    """Draw over the last table of `drawn` lines; return how many lines this one has."""
    lines = [
        f"{stats.running_sessions} running · {stats.cpu:.1f} CPU · {describe_size(stats.memory)} · "
        f"{stats.busy_kernels} of {stats.kernels} kernels busy · {datetime.now():%H:%M:%S}",
        "",
        *layout(_HEADERS, [_row(session) for session in sessions], width=terminal_width(), colour=wants_colour()),
    ]
    back = f"\x1b[{drawn}F\x1b[J" if drawn else ""
    sys.stdout.write(back + "\n".join(lines) + "\n")
    sys.stdout.flush()
    return len(lines)


def _print_lines(at: datetime, sessions: list[Session]) -> None:
    for session in sessions:
        name, state, cpu, memory, processes, kernels, _ = _row(session)
        print(
            f"{at:%Y-%m-%dT%H:%M:%SZ}  {name}  {state}  cpu {cpu}  memory {memory}  "
            f"processes {processes}  busy {kernels}"
        )
    if not sessions:
        print(f"{at:%Y-%m-%dT%H:%M:%SZ}  no sessions")
    sys.stdout.flush()


def _print_usage(found: SessionUsage) -> None:
    now = found.now
    print_fields(
        (
            ("CPU", cpu_of(now, found.limits)),
            ("Memory", memory_of(now, found.limits)),
            ("Highest memory", describe_size(found.memory_peak) if found.memory_peak is not None else ""),
            ("Processes", str(now.processes) if now and now.processes is not None else ""),
            ("Limits", describe(found.limits) or "none"),
            ("Enforced", found.enforcement.note),
        )
    )
    for death in found.deaths:
        print(f"{'Out of memory:':<16} {ago(death.at)}: {death.message}")
    if found.history:
        rows = [(f"{s.at:%H:%M}", cpu_of(s, found.limits), memory_of(s, found.limits)) for s in found.history]
        print()
        print_table(("AT (UTC)!", "CPU!", "MEMORY!"), rows, empty="")
    else:
        say("Its last hour is not known yet: a sample is taken once a minute.")


def _print_stats(found: WorkspaceStats) -> None:
    print_fields(
        (
            ("Sessions", f"{found.running_sessions} running"),
            ("CPU", f"{found.cpu:.2f}"),
            ("Memory", describe_size(found.memory)),
            ("Disk", "" if found.disk is None else describe_size(found.disk)),
            ("Kernels", f"{found.busy_kernels} of {found.kernels} busy"),
            (
                "Session hours",
                f"{found.session_hours:.1f} in {found.launches} launch{'' if found.launches == 1 else 'es'}",
            ),
            ("Since", f"{found.since:%Y-%m-%d}"),
        )
    )
