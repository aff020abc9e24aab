"""`clone`: a git repository into a workspace; `create --clone` uses the same."""

import sys
from typing import Annotated

import typer

from studiolo.cli.arguments import WorkspaceArgument
from studiolo.cli.invocation import connect
from studiolo.cli.output import emit, say
from studiolo.contract.archives import CloneProgress
from studiolo.contract.errors import InvalidInput, Unavailable
from studiolo.sdk import Studiolo

BranchOption = Annotated[str | None, typer.Option("--branch", metavar="NAME", help="Its branch or tag.")]
UsernameOption = Annotated[
    str | None, typer.Option("--username", metavar="NAME", help="User name, where the server wants one.")
]
TokenOption = Annotated[
    bool, typer.Option("--token-stdin", help="Read a token for the repository from the first line of stdin.")
]


def clone(
    workspace: WorkspaceArgument,
    repository: Annotated[str, typer.Argument(metavar="URL", help="https address of the repository.")],
    branch: BranchOption = None,
    username: UsernameOption = None,
    token_stdin: TokenOption = False,
) -> None:
    """Clone a git repository into a folder of a workspace. Ctrl-C cancels it.

    \b
    Examples:
      studiolo clone churn https://github.com/team/study.git
      pass show git/token | studiolo clone churn https://git.example.com/team/study.git --token-stdin
    """
    token = read_token(token_stdin)
    with connect() as client:
        found = client.workspaces.get(workspace)
        client.workspaces.clone(found.id, repository, branch=branch, username=username, token=token)
        done = follow(client, found.id)
    emit(done, lambda: print(f"Cloned {done.url} into {done.folder}."))


def read_token(wanted: bool) -> str | None:
    """Return the token from stdin if it is wanted. Raises InvalidInput (`usage-invalid`) if nothing is there."""
    if not wanted:
        return None
    token = sys.stdin.readline().strip()
    if not token:
        raise InvalidInput("usage-invalid", "There is no token on stdin.", hint="Pipe it in; it is not kept.")
    return token


def follow(client: Studiolo, workspace_id: str) -> CloneProgress:
    """Wait for a clone and show how it goes. Raises Unavailable (`clone-failed`); Ctrl-C cancels the clone."""
    try:
        done = client.workspaces.wait_for_clone(workspace_id, tell=_show if sys.stderr.isatty() else _silent)
    except KeyboardInterrupt:
        client.workspaces.cancel_clone(workspace_id)
        say("Cancelled; nothing was cloned.")
        raise
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
    if done.state != "done":
        raise Unavailable("clone-failed", done.message or f"The clone was {done.state}.")
    return done


def _show(progress: CloneProgress) -> None:
    percent = f" {progress.percent} %" if progress.percent is not None else ""
    sys.stderr.write(f"\r{progress.phase}{percent}\x1b[K")


def _silent(progress: CloneProgress) -> None:
    pass
