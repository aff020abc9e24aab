"""`python -m notebooks.cli`: the launcher on the command line."""

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from notebooks.launcher import NotebookLauncher
from notebooks.models import ResourceConfig
from studiolo.cli.amounts import CPUOption, GPUOption, GPUTypeOption, MemoryOption
from studiolo.cli.command import run_command
from studiolo.cli.failure import report
from studiolo.cli.invocation import current
from studiolo.cli.output import emit, print_fields
from studiolo.cli.overview import overview
from studiolo.cli.table import SESSIONS, Entry
from studiolo.contract.errors import InvalidInput
from studiolo.contract.sizes import parse_size

_PROGRAM = "python -m notebooks.cli"
_LAUNCH = Entry("launch", "notebooks.cli:launch", "Launch JupyterLab and print its address", SESSIONS)


def launch(
    user: Annotated[
        str | None, typer.Option("--user", metavar="EMAIL", help="Who you are; must be who is signed in.")
    ] = None,
    workspace: Annotated[
        str | None,
        typer.Option("--workspace", metavar="WORKSPACE", help="Name, owner/name, id or folder; else `default`."),
    ] = None,
    cpu: CPUOption = None,
    memory: MemoryOption = None,
    gpu: GPUOption = None,
    gpu_type: GPUTypeOption = None,
    git_repo: Annotated[
        str | None, typer.Option("--git-repo", metavar="URL", help="Clone this repository into the workspace first.")
    ] = None,
) -> None:
    """Launch JupyterLab, wait until it is ready, and print its address."""
    called = current()
    launcher = NotebookLauncher(called.url, insecure=called.insecure)
    amounts = ResourceConfig(cpu, _gibibytes(memory), gpu, gpu_type)
    session = launcher.launch(user, workspace, amounts, git_repo=git_repo)
    fields = (
        ("Notebook URL", session.notebook_url),
        ("Session ID", session.session_id),
        ("Status", session.status),
    )
    data = {
        "session_id": session.session_id,
        "notebook_url": session.notebook_url,
        "status": session.status,
    }
    emit(data, lambda: print_fields(fields))


def _gibibytes(memory: str | None) -> float | None:
    if memory is None:
        return None
    try:
        return parse_size(memory) / 1024**3
    except ValueError as exc:
        raise InvalidInput("usage-invalid", f"--memory: {exc}.", hint="For example 16Gi.") from exc


def main(args: Sequence[str]) -> int:
    """Run one command line and return its exit code."""
    if not args or args[0] in ("--help", "-h"):
        sys.stdout.write(overview(_PROGRAM, [_LAUNCH]) + "\n")
        return 0
    if args[0] != _LAUNCH.words:
        unknown = InvalidInput("usage-invalid", f"There is no command {args[0]!r}.", hint=f"Use `{_PROGRAM} launch`.")
        return report(unknown, as_json="--json" in args)
    return run_command(_LAUNCH, _PROGRAM, args[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
