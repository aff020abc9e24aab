"""Commands for administrators on the platform's backups; those on its machine are `backup` and `restore`."""

from typing import Annotated

import typer

from studiolo.cli.invocation import connect, current
from studiolo.cli.output import ago, emit, say
from studiolo.cli.tables import print_table
from studiolo.contract.backups import Backups
from studiolo.contract.errors import Unavailable
from studiolo.contract.sizes import describe_size


def list_() -> None:
    """List the platform's backups, newest first."""
    with connect() as client:
        found = client.backups.list()
    rows = [
        (
            b.name,
            ago(b.ended_at),
            str(b.workspaces),
            str(b.files),
            describe_size(b.size_bytes),
            describe_size(b.copied_bytes),
        )
        for b in found.items
    ]
    headers = ("NAME!", "MADE!", "WORKSPACES!", "FILES!", "SIZE!", "COPIED!")
    empty = f"None yet. Make one: {current().program} backups start"
    emit(found, lambda: print_table(headers, rows, empty=empty))
    if not current().json:
        say(f"They lie in {found.folder} on the platform's machine. {_of_now(found)}".strip())


def start(
    wait: Annotated[bool, typer.Option("--wait", help="Wait until it is made.")] = False,
) -> None:
    """Have the platform back itself up while it runs.

    \b
    Example:
      studiolo backups start --wait
    """
    with connect() as client:
        begun = client.backups.start()
        if not wait:
            emit(begun, lambda: print("A backup has begun."))
            return
        found = client.backups.wait()
    if found.current is not None and found.current.state != "done":
        raise Unavailable("backup-failed", f"No backup was made: {found.current.message or found.current.state}")
    made = found.items[0]
    emit(made, lambda: print(f"{made.folder}: {made.files} files, {describe_size(made.size_bytes)}"))


def cancel() -> None:
    """Cancel the backup that is being made; nothing of it stays."""
    with connect() as client:
        client.backups.cancel()
    emit({"cancelled": True}, lambda: print("Cancelled."))


def _of_now(found: Backups) -> str:
    if found.current is not None and found.current.state == "running":
        done, total = found.current.done_bytes, found.current.total_bytes
        return f"One is being made: {describe_size(done)} of {describe_size(total)}."
    if found.current is not None and found.current.state == "failed":
        return f"The last one failed: {found.current.message}"
    return f"The next is made at {found.nightly_at}." if found.nightly_at else ""
