"""`studiolo backup`: a copy of the whole platform, from the machine itself, while it runs or not."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from studiolo.contract.sizes import describe_size
from studiolo.server.commands.access import existing
from studiolo.server.commands.flags import AsJSON, DataDir, platform_settings


def backup(
    target: Annotated[
        Path | None, typer.Argument(metavar="FOLDER", help="Where to; without it the setting backup.folder.")
    ] = None,
    data_dir: DataDir = None,
    as_json: AsJSON = False,
) -> None:
    """Back up the platform while it runs: database, files, people's settings, keys.

    Makes a folder studiolo-TIME in FOLDER. What has not changed since the backup before is shared with it.
    """
    from studiolo.kit.modesty import be_modest
    from studiolo.server import operator
    from studiolo.server.backup import format as form
    from studiolo.server.backup.backup import backup_folder, make_backup, remove_old

    settings = existing(platform_settings(data_dir=data_dir))
    folder = target.expanduser().absolute() if target else backup_folder(settings)
    operator.record_backup(settings)
    be_modest()
    made = make_backup(settings, folder, _progress if sys.stderr.isatty() and not as_json else _silent)
    if target is None:
        remove_old(folder, settings.backup.keep)
    manifest = form.read_manifest(made)
    told = form.wire(made, manifest)
    if as_json:
        typer.echo(told.model_dump_json(indent=2))
        return
    typer.echo(str(made))
    _say(f"{told.files} files, {describe_size(told.size_bytes)}; copied: {describe_size(told.copied_bytes)}.")
    for left in manifest.left_out[:20]:
        _say(f"note: {left.path}: {left.why}")
    if manifest.outside:
        _say(f"note: not in it, since they lie outside the data directory: {', '.join(manifest.outside.values())}")
    _say("It is not encrypted and holds the platform's keys: keep it where only you can read it.")


def _progress(done: int, total: int) -> None:
    sys.stderr.write(f"\r{describe_size(done)} of {describe_size(total)}\x1b[K" + ("\n" if done >= total else ""))


def _silent(done: int, total: int) -> None:
    pass


def _say(line: str) -> None:
    typer.echo(line, err=True)
