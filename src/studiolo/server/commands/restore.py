"""`studiolo restore`: bring a backup back into a folder of its own."""

from pathlib import Path
from typing import Annotated

import typer

from studiolo.contract.errors import InvalidInput
from studiolo.server.commands.flags import AsJSON, platform_settings


def restore(
    source: Annotated[Path, typer.Argument(metavar="BACKUP", help="A backup: a folder studiolo-TIME.")],
    data_dir: Annotated[
        Path | None, typer.Option("--data-dir", metavar="FOLDER", help="A new folder for what is restored.")
    ] = None,
    as_json: AsJSON = False,
) -> None:
    """Restore a backup into a new folder, verified file by file, and start from there.

    \b
    Example:
      studiolo restore /mnt/backups/studiolo-20261121T031000Z --data-dir /srv/studiolo-2
      studiolo up --data-dir /srv/studiolo-2
    """
    from studiolo.server.backup import format as form
    from studiolo.server.backup.restore import restore as bring_back

    if data_dir is None:
        raise InvalidInput("usage-invalid", "Say where to: --data-dir FOLDER.", hint="A folder that is not there yet.")
    source = source.expanduser().absolute()
    settings = platform_settings(data_dir=data_dir)
    manifest = bring_back(source, settings)
    if as_json:
        typer.echo(form.wire(source, manifest).model_dump_json(indent=2))
        return
    typer.echo(str(settings.data_dir))
    _say(f"{manifest.files} files, {manifest.workspaces} workspaces, {manifest.people} people, each file verified.")
    if manifest.packages:
        _say("note: environments are made anew; what people had installed is listed in its manifest.json, `packages`.")
    if manifest.outside:
        _say(f"note: these lay outside and are not in it: {', '.join(manifest.outside.values())}")
    _say(f"Start it: studiolo up --data-dir {settings.data_dir}")


def _say(line: str) -> None:
    typer.echo(line, err=True)
