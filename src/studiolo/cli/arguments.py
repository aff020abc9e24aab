"""Arguments that many commands take, with completion of the names that exist."""

from typing import Annotated

import typer


def complete_workspaces(incomplete: str) -> list[str]:
    """Return workspaces whose name begins so; nothing when the platform cannot be asked."""
    from studiolo.cli.invocation import connect
    from studiolo.cli.output import name_of
    from studiolo.contract.errors import StudioloError

    try:
        with connect() as client:
            names = [name_of(workspace) for workspace in client.workspaces.list(page_size=200)]
    except StudioloError:
        return []
    return [name for name in names if name.startswith(incomplete)]


def complete_sessions(incomplete: str) -> list[str]:
    """Return sessions whose name begins so; nothing when the platform cannot be asked."""
    from studiolo.cli.invocation import connect
    from studiolo.contract.errors import StudioloError

    try:
        with connect() as client:
            names = [session.name for session in client.sessions.list(page_size=200)]
    except StudioloError:
        return []
    return [name for name in names if name.startswith(incomplete)]


def complete_kernels(incomplete: str) -> list[str]:
    """Return ids of kernels that begin so; nothing when the platform cannot be asked."""
    from studiolo.cli.invocation import connect
    from studiolo.contract.errors import StudioloError

    try:
        with connect() as client:
            ids = [kernel.id for kernel in client.kernels.list(page_size=200)]
    except StudioloError:
        return []
    return [one for one in ids if one.startswith(incomplete)]


WorkspaceArgument = Annotated[
    str,
    typer.Argument(
        metavar="WORKSPACE", help="Name, owner/name or id.", autocompletion=complete_workspaces, show_default=False
    ),
]
SessionArgument = Annotated[
    str,
    typer.Argument(
        metavar="SESSION",
        help="Name, workspace/name or id of a session, or a workspace that has one.",
        autocompletion=complete_sessions,
        show_default=False,
    ),
]
SessionOrWorkspaceArgument = Annotated[
    str,
    typer.Argument(
        metavar="WORKSPACE",
        help="A workspace, or a session by id or workspace/name.",
        autocompletion=complete_workspaces,
        show_default=False,
    ),
]
KernelArgument = Annotated[
    str,
    typer.Argument(
        metavar="KERNEL",
        help="Id of a kernel, or as much of it as tells it apart.",
        autocompletion=complete_kernels,
        show_default=False,
    ),
]
RestartOption = Annotated[bool, typer.Option("--restart", help="Restart its running sessions, so that it counts now.")]
