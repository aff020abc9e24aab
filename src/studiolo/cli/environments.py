"""Commands on a workspace's environment: its builds, what differs between them, going back, its lock."""

from pathlib import Path
from typing import Annotated

import typer

from studiolo.cli.arguments import WorkspaceArgument
from studiolo.cli.installing import NoWaitOption, finish, print_build, print_changes
from studiolo.cli.invocation import connect
from studiolo.cli.output import ago, emit, print_fields, say
from studiolo.cli.tables import print_table
from studiolo.contract.environments import Build
from studiolo.contract.errors import InvalidInput

OfBuildOption = Annotated[int | None, typer.Option("--build", metavar="BUILD", help="Of this build.")]
OutputOption = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write it there instead of stdout.")
]
BuildArgument = Annotated[int, typer.Argument(metavar="BUILD", help="Number of a build.", show_default=False)]


def show(workspace: WorkspaceArgument) -> None:
    """Show a workspace's environment: base, live build, what was added."""
    with connect() as client:
        found = client.environments.get(workspace)
    added = [f"{one.name} {one.version}" for one in found.packages if not one.from_base]
    build = found.build
    fields = (
        ("Base", found.base),
        ("Python", found.python or ""),
        ("Build", f"{build.number}, {ago(build.made_at)}: {build.wish}" if build is not None else "none yet"),
        ("Hash", found.hash or ""),
        ("Packages", str(len(found.packages))),
        ("Added", ", ".join(added) or "nothing"),
        ("Policy", found.enforcement),
    )
    emit(found, lambda: print_fields(fields))


def history(workspace: WorkspaceArgument) -> None:
    """List the builds of a workspace's environment, newest first."""
    with connect() as client:
        found = list(client.environments.builds(workspace, page_size=200))
    rows = [
        (
            f"{one.number}{' *' if one.is_live else ''}",
            one.state,
            one.made_by.name if one.made_by is not None else "",
            ago(one.made_at),
            one.wish,
            _summary(one),
        )
        for one in found
    ]
    headers = ("BUILD!", "STATE!", "BY!", "WHEN!", "WISH", "CHANGES")
    emit(found, lambda: print_table(headers, rows, empty="No builds yet."))


def diff(
    workspace: WorkspaceArgument,
    before: BuildArgument,
    after: Annotated[int, typer.Argument(metavar="BUILD", help="Number of another one.", show_default=False)],
) -> None:
    """Show what changes from one build to another."""
    with connect() as client:
        found = client.environments.difference(workspace, before, after)

    def text() -> None:
        if found.base_before != found.base_after:
            print(f"~ base {found.base_before} → {found.base_after}")
        print_changes(found.changes)
        if not found.changes:
            say("They hold the same packages.")

    emit(found, text)


def rollback(workspace: WorkspaceArgument, build: BuildArgument, no_wait: NoWaitOption = False) -> None:
    """Go back to what an earlier build held; it becomes a build of its own."""
    with connect() as client:
        asked = client.environments.rollback(workspace, build)
        done = asked if no_wait else finish(client, workspace, asked)
    emit(done, lambda: print_build(done))


def undo(workspace: WorkspaceArgument, no_wait: NoWaitOption = False) -> None:
    """Go back to what held before the live build."""
    with connect() as client:
        asked = client.environments.undo(workspace)
        done = asked if no_wait else finish(client, workspace, asked)
    emit(done, lambda: print_build(done))


def rebuild(workspace: WorkspaceArgument, no_wait: NoWaitOption = False) -> None:
    """Make the environment anew from its lock alone; what no lock names is gone then."""
    with connect() as client:
        asked = client.environments.rebuild(workspace)
        done = asked if no_wait else finish(client, workspace, asked)
    emit(done, lambda: print_build(done))


def cancel(workspace: WorkspaceArgument, build: BuildArgument) -> None:
    """Cancel a build; the environment stays as it is."""
    with connect() as client:
        found = client.environments.cancel(workspace, build)
    emit(found, lambda: print(f"Cancelled build {found.number}; the environment is as it was."))


def lock(workspace: WorkspaceArgument, build: OfBuildOption = None, output: OutputOption = None) -> None:
    """Write the lock of a workspace's environment, a pylock.toml (PEP 751)."""
    with connect() as client:
        text = client.environments.lock(workspace, build)
    _write(text, output, "lock")


def sbom(workspace: WorkspaceArgument, build: OfBuildOption = None, output: OutputOption = None) -> None:
    """Write the bill of materials of a workspace's environment, as CycloneDX 1.6."""
    with connect() as client:
        text = client.environments.sbom(workspace, build)
    _write(text, output, "sbom")


def _write(text: str, output: Path | None, what: str) -> None:
    if output is None:
        emit({what: text}, lambda: print(text.rstrip()))
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as exc:
        raise InvalidInput("usage-invalid", f"{output} cannot be written: {exc.strerror}.") from exc
    emit({"file": str(output)}, lambda: print(f"Wrote {output}."))


def _summary(build: Build) -> str:
    if build.state != "ready":
        return build.message or ""
    counts = {word: sum(one.action == word for one in build.changes) for word in ("installed", "removed", "changed")}
    return ", ".join(f"{count} {word}" for word, count in counts.items() if count)
