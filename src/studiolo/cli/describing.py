"""Commands that write a workspace down: metadata, export, report."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from studiolo.cli.amounts import describe
from studiolo.cli.arguments import WorkspaceArgument
from studiolo.cli.invocation import connect, current
from studiolo.cli.output import ago, emit, print_fields, say
from studiolo.cli.tables import print_table
from studiolo.contract.errors import InvalidInput
from studiolo.contract.sizes import describe_size

OutputOption = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write to this file instead of stdout.")
]


class ExportFormat(StrEnum):
    """How a description is written."""

    JSON = "json"
    YAML = "yaml"
    ZIP = "zip"


class ReportFormat(StrEnum):
    """How a report is written."""

    HTML = "html"


def metadata(workspace: WorkspaceArgument) -> None:
    """Show everything that is known about a workspace beside its files."""
    with connect() as client:
        found = client.workspaces.metadata(workspace)
    packages = [f"{package.get('name')} {package.get('version', '')}".strip() for package in found.packages]

    def text() -> None:
        print_fields(
            (
                ("Name", f"{found.owner.name}/{found.name} ({found.id})"),
                ("Description", found.description),
                ("Created", f"{found.created_at:%Y-%m-%d %H:%M} ({ago(found.created_at)})"),
                ("Changed", f"{found.modified_at:%Y-%m-%d %H:%M} ({ago(found.modified_at)})"),
                ("Resources", describe(found.config.resources)),
                ("Profile", found.config.profile or ""),
                ("Experiments", ", ".join(found.experiments)),
                ("Sessions", f"{found.sessions} launch{'' if found.sessions == 1 else 'es'}"),
                ("Usage", _used(found.usage)),
                ("Packages", f"{len(packages)}: {', '.join(packages[:12])}{' …' if len(packages) > 12 else ''}"),
            )
        )
        if found.executions:
            print()
            print_table(("NOTEBOOK", "LAST RUN!"), [(run.path, ago(run.at)) for run in found.executions], empty="")

    emit(found, text)


def export(
    workspace: WorkspaceArgument,
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="NAME.zip: with all its files.", show_default=False)
    ] = None,
    format: Annotated[ExportFormat, typer.Option("--format", metavar="FORMAT", help="json, yaml or zip.")] = (
        ExportFormat.JSON
    ),
    output: OutputOption = None,
) -> None:
    """Write a workspace to a file for another platform: as a zip with its files, or its description. No secrets.

    \b
    Examples:
      studiolo export churn churn.zip
      studiolo export churn --format=json
      studiolo export churn --format yaml -o churn.yaml
    """
    target = file or output
    if format is ExportFormat.ZIP or (target is not None and target.suffix.lower() == ".zip"):
        _export_archive(workspace, target or Path(f"{workspace.rpartition('/')[2]}.zip"))
        return
    form: Literal["json", "yaml"] = "yaml" if format is ExportFormat.YAML and not current().json else "json"
    with connect() as client:
        text = client.workspaces.export_file(workspace, format=form)
    _write(text, target)


def report(
    workspace: WorkspaceArgument,
    format: Annotated[ReportFormat, typer.Option("--format", metavar="FORMAT", help="html.")] = ReportFormat.HTML,
    output: OutputOption = None,
) -> None:
    """Write a report on a workspace's use: one page that needs no other file.

    \b
    Example:
      studiolo report churn --format=html -o churn.html
    """
    with connect() as client:
        page = client.workspaces.report(workspace)
    if current().json:
        emit({"workspace": workspace, "format": str(format), "report": page}, lambda: None)
    else:
        _write(page, output)


def _export_archive(workspace: str, target: Path) -> None:
    """Raises InvalidInput (`usage-invalid`) if the file cannot be written."""
    try:
        with connect() as client:
            size = client.workspaces.export_archive(workspace, target)
    except OSError as exc:
        raise unwritable(target, exc) from exc
    text = f"Wrote {target} ({describe_size(size)})."
    emit({"workspace": workspace, "file": str(target), "size_bytes": size}, lambda: print(text))


def _write(text: str, output: Path | None) -> None:
    """Write to a file or stdout. Raises InvalidInput (`usage-invalid`) if the file cannot be written."""
    if output is None:
        print(text.rstrip("\n"))
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as exc:
        raise unwritable(output, exc) from exc
    say(f"Wrote {output}.")


def unwritable(path: Path, exc: OSError) -> InvalidInput:
    """The error for a file of this machine that cannot be written."""
    return InvalidInput("usage-invalid", f"{path} cannot be written: {exc.strerror}.", hint="Name another file.")


def _used(usage: dict[str, Any]) -> str:
    """Return what is known of its use as a line; measured values that are not there are left out."""
    words = {
        "session_hours": "{:.1f} session hours",
        "cpu_hours": "{:.2f} processor hours",
        "memory_peak": "at most {} of memory",
        "disk": "{} on disk",
    }
    known = {name: usage[name] for name in words if usage.get(name) is not None}
    return ", ".join(words[n].format(describe_size(v) if n in ("memory_peak", "disk") else v) for n, v in known.items())
