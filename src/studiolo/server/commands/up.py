"""`studiolo up`: start the platform here, in the foreground or in the background."""

import asyncio
import json
import logging
import sys
from typing import Annotated

import typer

from studiolo.server.commands.detached import start_detached
from studiolo.server.commands.flags import (
    TLS,
    AsJSON,
    DataDir,
    Domain,
    Host,
    Port,
    StopSessions,
    TLSCert,
    TLSKey,
    platform_settings,
)
from studiolo.server.commands.welcome import Welcome, network_warning, welcome
from studiolo.server.settings import Settings
from studiolo.server.supervisor.sessions import stop_all_sessions

Detach = Annotated[bool, typer.Option("--detach", "-d", help="Run in the background; return when it serves.")]


def up(
    detach: Detach = False,
    port: Port = None,
    host: Host = None,
    data_dir: DataDir = None,
    domain: Domain = None,
    tls: TLS = None,
    tls_cert: TLSCert = None,
    tls_key: TLSKey = None,
    stop_sessions: StopSessions = False,
    as_json: AsJSON = False,
) -> None:
    """Start the platform on this machine.

    It runs until Ctrl-C, or with --detach until `studiolo down`. Sessions go on when it stops.
    """
    settings = platform_settings(
        data_dir=data_dir, port=port, host=host, domain=domain, tls=tls, tls_cert=tls_cert, tls_key=tls_key
    )
    if warning := network_warning(settings):
        _say(warning)
    if detach:
        running = start_detached(settings, stop_sessions=stop_sessions, progress=_say)
        _show(welcome(running), as_json=as_json)
    else:
        _run_here(settings, stop_sessions=stop_sessions, as_json=as_json)


def _run_here(settings: Settings, *, stop_sessions: bool, as_json: bool) -> None:
    from studiolo.server.supervisor.run import run

    async def on_ready() -> None:
        _show(await asyncio.to_thread(welcome, settings), as_json=as_json)
        _say("Ctrl-C stops the platform; sessions go on.")

    terminal = logging.StreamHandler(sys.stderr)
    terminal.setLevel(logging.WARNING)
    logging.getLogger("studiolo").addHandler(terminal)
    _say(f"Starting on {settings.data_dir} …")
    run(settings, on_ready=on_ready, stop_sessions=stop_all_sessions if stop_sessions else None)
    _say("Stopped.")


def _show(found: Welcome, *, as_json: bool) -> None:
    typer.echo(json.dumps(found.as_json(), indent=2) if as_json else found.text())


def _say(line: str) -> None:
    typer.echo(line, err=True)
