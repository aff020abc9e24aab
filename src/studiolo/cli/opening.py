"""Open a workspace in the browser."""

import os
import sys
import webbrowser
from typing import Annotated
from urllib.parse import quote

import typer

from studiolo.cli.arguments import complete_workspaces
from studiolo.cli.invocation import connect, current
from studiolo.cli.output import emit, say
from studiolo.cli.waiting import going_on, wait_until_ready
from studiolo.contract.errors import NotFound
from studiolo.contract.models import Session, Workspace
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

    Prints the URL, and opens it where there is a browser. The browser asks you to sign in if it has to.
    """
    with connect() as client:
        if target.startswith("s-"):
            session, file = client.sessions.start(target), ""
        else:
            workspace, file = _workspace_and_file(client, target)
            session = _resume(client, workspace)
        with going_on(session):
            notice = client.platform.get().isolation_notice
            session = wait_until_ready(client, session)
    url = session.notebook_url + (f"?next={quote(f'lab/tree/{file}', safe='')}" if file else "")
    emit({**session.model_dump(mode="json"), "url": url}, lambda: print(url))
    if notice and not current().json:
        say(f"note: {notice}")
    if browser and not current().json and not (_has_browser() and webbrowser.open(url)):
        say("There is no browser here; open the address above in one.")


def _resume(client: Studiolo, workspace: Workspace) -> Session:
    """Return a session of mine in the workspace, started if it had ended, launched if there was none."""
    me = client.me.get()
    mine = [s for s in client.sessions.list(workspace=workspace.id, page_size=200) if s.person.id == me.id]
    for session in mine:
        if session.desired == "running":
            return session
    if mine:
        # Newest first.
        return client.sessions.start(mine[0].id)
    return client.sessions.launch(workspace.id)


def _workspace_and_file(client: Studiolo, target: str) -> tuple[Workspace, str]:
    """Split `name`, `owner/name`, `name/file` or `owner/name/file`; the workspace that exists decides."""
    parts = target.strip("/").split("/")
    missing: NotFound | None = None
    for length in (1, 2) if len(parts) > 2 else (len(parts), 1):
        try:
            return client.workspaces.get("/".join(parts[:length])), "/".join(parts[length:])
        except NotFound as error:
            missing = missing or error
    assert missing is not None
    raise missing


def _has_browser() -> bool:
    """Tell whether a window can be opened; a browser in the terminal would take it over."""
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return bool(os.environ.get("BROWSER"))
    try:
        webbrowser.get()
    except webbrowser.Error:
        return False
    return True
