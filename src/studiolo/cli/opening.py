"""Open a workspace in the browser."""

import os
import sys
import webbrowser
from typing import Annotated
from urllib.parse import quote

import typer

from studiolo.cli.arguments import complete_workspaces
from studiolo.cli.invocation import connect, current
from studiolo.cli.output import emit, name_of, say
from studiolo.cli.resuming import resume, workspace_and_file
from studiolo.cli.waiting import cancelling, wait_until_ready
from studiolo.contract.errors import StudioloError
from studiolo.contract.ids import IdKind, looks_like_id
from studiolo.contract.models import Workspace
from studiolo.sdk import Studiolo


def open_(
    target: Annotated[
        str,
        typer.Argument(
            metavar="WORKSPACE[/FILE]",
            help="Name, owner/name or id, and a file in it; or a session's id.",
            autocompletion=complete_workspaces,
            show_default=False,
        ),
    ],
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open it, or only print its URL.")] = True,
) -> None:
    """Open a workspace: the session that runs, else the last one started again, else a new one.

    A name that nothing has yet becomes a new workspace. Prints the URL, and opens it where there is a browser,
    which asks you to sign in if it has to.

    \b
    Examples:
      studiolo open churn
      studiolo open churn/train.ipynb --no-browser
    """
    with connect() as client:
        if looks_like_id(target, IdKind.SESSION):
            session, file = client.sessions.start(target), ""
        else:
            workspace, file = workspace_and_file(client, target)
            _look_for(client, workspace, file)
            session = resume(client, workspace)
        with cancelling(client, session):
            session = wait_until_ready(client, session)
    # Encoded as part of an address, and that address as a value: a name may hold signs of both.
    url = session.notebook_url + (f"?next={quote(f'lab/tree/{quote(file)}', safe='')}" if file else "")
    emit({**session.model_dump(mode="json"), "url": url}, lambda: print(url))
    if session.isolation_notice and not current().json:
        say(f"note: {session.isolation_notice}")
    if browser and not current().json and not (has_browser() and webbrowser.open(url)):
        say("There is no browser here; open the address above in one.")


def _look_for(client: Studiolo, workspace: Workspace, file: str) -> None:
    """Raises NotFound (`file-not-found`), before a session starts; where files cannot be seen now, JupyterLab tells."""
    try:
        if file:
            client.files.info(workspace.id, file)
    except StudioloError as error:
        if error.code == "file-not-found":
            error.hint = f"What is there: studiolo ls {name_of(workspace)}"
            raise


def has_browser() -> bool:
    """Tell whether a window can be opened; a browser in the terminal would take it over."""
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return bool(os.environ.get("BROWSER"))
    try:
        webbrowser.get()
    except webbrowser.Error:
        return False
    return True
