"""Commands that change and list packages of a workspace, and tell what an installation would come to."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from studiolo.cli.arguments import WorkspaceArgument
from studiolo.cli.invocation import connect, current
from studiolo.cli.output import ago, emit, harmless, say
from studiolo.cli.places import read_text
from studiolo.cli.tables import print_table
from studiolo.contract.environments import Build, Change, PackageFile, Plan, PlanNode, Violation
from studiolo.contract.errors import Denied, InvalidInput, StudioloError
from studiolo.sdk import Studiolo

_MARKS = {"installed": "+", "removed": "-", "changed": "~"}
NoWaitOption = Annotated[bool, typer.Option("--no-wait", help="Do not wait until it is done.")]


def install(
    workspace: WorkspaceArgument,
    packages: Annotated[
        list[str] | None, typer.Argument(metavar="PACKAGE", help="Name, with versions: numpy, 'pandas==2.0.0'.")
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "--file",
            "-r",
            metavar="FILE",
            help="requirements.txt, pyproject.toml, environment.yml or a PEP 723 script.",
        ),
    ] = None,
    conda: Annotated[bool, typer.Option("--conda", help="From conda channels.")] = False,
    channel: Annotated[str | None, typer.Option("--channel", "-c", metavar="NAME", help="A conda channel.")] = None,
    upgrade: Annotated[bool, typer.Option("--upgrade", "-U", help="Take the newest versions of those named.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Install what the policy refuses (administrators); needs --reason.")
    ] = False,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why it is forced; it is kept.")] = "",
    no_wait: NoWaitOption = False,
) -> None:
    """Install packages into a workspace. Running kernels see them; Ctrl-C cancels.

    \b
    Examples:
      studiolo install churn numpy
      studiolo install churn "pandas==2.0.0" polars
      studiolo install churn -r requirements.txt
      studiolo install churn matplotlib --conda
    """
    if not packages and file is None:
        raise InvalidInput("usage-invalid", "No package is named.", hint="Name packages, or a file with -r.")
    with connect() as client:
        asked = client.packages.install(
            workspace,
            *(packages or ()),
            file=PackageFile(name=file.name, text=read_text(file)) if file is not None else None,
            ecosystem="conda" if conda else "pypi",
            channel=channel,
            upgrade=upgrade,
            force=force,
            reason=reason,
        )
        done = asked if no_wait else finish(client, workspace, asked)
    emit(done, lambda: print_build(done))


def remove(
    workspace: WorkspaceArgument,
    packages: Annotated[list[str], typer.Argument(metavar="PACKAGE", help="Their names.", show_default=False)],
    no_wait: NoWaitOption = False,
) -> None:
    """Remove packages from a workspace."""
    with connect() as client:
        asked = client.packages.remove(workspace, *packages)
        done = asked if no_wait else finish(client, workspace, asked)
    emit(done, lambda: print_build(done))


def list_packages(
    workspace: WorkspaceArgument,
    added: Annotated[bool, typer.Option("--added", help="Only those that did not come with the base.")] = False,
) -> None:
    """List the packages of a workspace's environment."""
    with connect() as client:
        found = [one for one in client.packages.list(workspace) if not (added and one.from_base)]
    rows = [(one.name, one.version, one.ecosystem, "base" if one.from_base else ago(one.installed_at)) for one in found]
    emit(found, lambda: print_table(("NAME!", "VERSION!", "FROM", "INSTALLED"), rows, empty="No packages."))


def check_package(
    packages: Annotated[list[str], typer.Argument(metavar="PACKAGE", help="Name, with versions.", show_default=False)],
    workspace: Annotated[
        str | None, typer.Option("--workspace", "-w", metavar="WORKSPACE", help="By its policy and what it has.")
    ] = None,
    conda: Annotated[bool, typer.Option("--conda", help="From conda channels.")] = False,
) -> None:
    """Tell what installing packages would come to, and what the policy says of each. Nothing is changed.

    The exit code is 0 when all of it is allowed, 4 when something is refused.
    """
    with connect() as client:
        plan = client.packages.check(*packages, workspace=workspace, ecosystem="conda" if conda else "pypi")
    emit(plan, lambda: _print_plan(plan, workspace))
    if plan.violations:
        raise typer.Exit(4)


def finish(client: Studiolo, workspace: str, asked: Build) -> Build:
    """Wait for a build, show its progress on a terminal, and return it. Ctrl-C cancels it.

    Raises what stood in its way.
    """
    try:
        if asked.state == "building" and sys.stderr.isatty():
            for line in client.environments.progress(workspace, asked.number):
                sys.stderr.write(f"\r{harmless(line)[:100]}\x1b[K")
            sys.stderr.write("\r\x1b[K")
        return client.environments.wait(workspace, asked.number)
    except KeyboardInterrupt:
        client.environments.cancel(workspace, asked.number)
        say("Cancelled; the environment is as it was.")
        raise
    except Denied as error:
        _explain(error)
        raise


def print_build(build: Build) -> None:
    """Print what a build changed."""
    if build.state == "building":
        print(f"Build {build.number} is under way: {harmless(build.wish)}.")
        return
    print_changes(build.changes)
    print(build.message or f"Build {build.number} is ready.")


def print_changes(changes: list[Change]) -> None:
    """Print changes, one a line."""
    for one in changes:
        versions = " → ".join(filter(None, (one.previous if one.action == "changed" else None, one.version)))
        print(f"{_MARKS[one.action]} {harmless(one.name)} {harmless(versions or one.previous or '')}")


def _explain(error: StudioloError) -> None:
    for found in error.extra.get("violations", []):
        one = Violation.model_validate(found)
        say(f"Refused: {one.name} {one.version}")
        for name, value in (("Rule", one.rule), ("Set by", one.source), ("Needed by", " → ".join(one.path[:-1]))):
            if value:
                say(f"  {name + ':':<10} {value}")
        if one.passing:
            say(f"  {'Passing:':<10} {', '.join(one.passing)}")


def _print_plan(plan: Plan, workspace: str | None) -> None:
    by_name = {one.name: one for one in plan.packages}

    def show(node: PlanNode, depth: int) -> None:
        found = by_name[node.name]
        sign = "✓" if node.verdict == "allow" else "✕"
        said = "there already" if node.is_there else "" if node.verdict == "allow" else found.because
        line = f"{sign} {node.name} {node.version}   {said}".rstrip()
        print(f"{'  ' * depth}{harmless(line)}")
        for inner in node.needs:
            show(inner, depth + 1)

    for root in plan.tree:
        show(root, 0)
    if not plan.violations:
        fresh = sum(not one.is_there for one in plan.packages)
        print(f"\nAllowed: {fresh} would be installed.")
        return
    print()
    for one in plan.violations:
        print(f"Refused: {harmless(one.name)} {harmless(one.version)} by {harmless(one.rule or one.code)}")
        if one.source:
            print(f"  set by {harmless(one.source)}")
        if one.passing:
            print(f"  versions that pass: {', '.join(map(harmless, one.passing))}")
    wished = (f"{one.name}=={one.version}" if one.verdict == "hide" else one.name for one in plan.violations)
    names = " ".join(dict.fromkeys(wished))
    if plan.violations[0].ecosystem == "conda":
        names += " --conda"
    say(f"Ask for it: {current().program} request {workspace or 'WORKSPACE'} {names}")
