"""Looking for packages in conda channels."""

from typing import Annotated

import typer

from studiolo.cli.arguments import WorkspaceArgument
from studiolo.cli.invocation import connect
from studiolo.cli.output import emit
from studiolo.cli.tables import print_table


def search_conda(
    workspace: WorkspaceArgument,
    package: Annotated[str, typer.Argument(help="Name of a conda package.")],
    channels: Annotated[
        list[str] | None, typer.Option("--channel", "-c", metavar="NAME", help="Look in this trusted channel, too.")
    ] = None,
) -> None:
    """List the versions of a conda package, and what the workspace's policy says of each.

    \b
    Examples:
      studiolo search-conda churn matplotlib
      studiolo search-conda churn pytorch -c pytorch --json
    """
    with connect() as client:
        found = client.packages.search_conda(workspace, package, channels or ())
    rows = [(one.version, one.channel or "", one.file or "", one.verdict, one.because) for one in found]
    header = ("VERSION!", "CHANNEL", "FILE", "POLICY", "BECAUSE")
    emit(found, lambda: print_table(header, rows, empty=f"No trusted channel has {package!r}."))
