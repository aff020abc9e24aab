"""`studiolo doctor`: check what is missing or wrong, and say how to mend it."""

import json

import typer

from studiolo.server.commands.flags import AsJSON, DataDir, Port, platform_settings

_SHAPES = {"ok": "✓ ok  ", "warn": "! warn", "fail": "✕ FAIL"}


def doctor(data_dir: DataDir = None, port: Port = None, as_json: AsJSON = False) -> None:
    """Check this machine and the platform on it; works with the platform up or down.

    The exit code is 1 if a check fails, else 0.
    """
    from studiolo.server.doctor.report import examine

    found = examine(platform_settings(data_dir=data_dir, port=port))
    if as_json:
        typer.echo(json.dumps([result.as_json() for result in found], indent=2))
    else:
        for result in found:
            typer.echo(f"{_SHAPES[result.status]}  {result.name}: {result.finding}")
            if result.remedy:
                typer.echo(f"          → {result.remedy}")
    if any(result.status == "fail" for result in found):
        raise typer.Exit(1)
