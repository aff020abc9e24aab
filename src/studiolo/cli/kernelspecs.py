"""Commands on kernelspecs that people make for a workspace."""

from typing import Annotated

import typer

from studiolo.cli.amounts import CPUOption, MemoryOption
from studiolo.cli.arguments import WorkspaceArgument
from studiolo.cli.invocation import connect, current
from studiolo.cli.kernels import read_variables
from studiolo.cli.output import emit, say

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Name of the kernelspec.", show_default=False)]


def add(
    workspace: WorkspaceArgument,
    name: NameArgument,
    base: Annotated[
        str | None, typer.Option("--base", metavar="NAME", help="Made from this one; python3 unless given.")
    ] = None,
    title: Annotated[str | None, typer.Option("--title", metavar="TEXT", help="What people read.")] = None,
    env: Annotated[
        list[str] | None, typer.Option("--env", "-e", metavar="NAME=VALUE", help="A variable; repeat for several.")
    ] = None,
    cpu: CPUOption = None,
    memory: MemoryOption = None,
) -> None:
    """Offer another kernel in a workspace: one that is there, with variables and a size of its own.

    \b
    Examples:
      studiolo kernels add-spec churn big --memory 8g --title "Python, 8 GiB"
      studiolo kernels start churn --kernel big
    """
    with connect() as client:
        made = client.kernels.create_spec(
            workspace,
            name,
            base=base,
            display_name=title,
            variables=read_variables(env or []),
            cpu=cpu,
            memory=memory,
        )

    def text() -> None:
        print(f"{workspace} offers {made.name} now.")
        say(f"Start one: {current().program} kernels start {workspace} --kernel {made.name}")

    emit(made, text)


def remove(workspace: WorkspaceArgument, name: NameArgument) -> None:
    """Offer a kernel that somebody added no longer; those that run go on."""
    with connect() as client:
        client.kernels.remove_spec(workspace, name)
    emit({"removed": name}, lambda: print(f"{workspace} offers {name} no longer."))
