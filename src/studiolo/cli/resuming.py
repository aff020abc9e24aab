"""Find the session that somebody means by a workspace: the one that runs, the last one again, or a new one."""

from studiolo.cli.output import name_of, say
from studiolo.contract.errors import NotFound
from studiolo.contract.ids import IdKind, looks_like_id
from studiolo.contract.models import Session, Workspace
from studiolo.sdk import Studiolo


def resume(client: Studiolo, workspace: Workspace) -> Session:
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


def session_for(client: Studiolo, target: str) -> Session:
    """Return the session that a workspace or session stands for, started if it had ended."""
    if looks_like_id(target, IdKind.SESSION):
        return client.sessions.start(target)
    try:
        return resume(client, client.workspaces.get(target))
    except NotFound as missing:
        if missing.code != "workspace-not-found":
            raise
        try:
            return client.sessions.start(target)
        except NotFound:
            raise missing from None


def workspace_and_file(client: Studiolo, target: str) -> tuple[Workspace, str]:
    """Split `name`, `owner/name`, `name/file` or `owner/name/file`; the workspace that exists decides.

    A bare name that nothing has becomes a new workspace.
    """
    parts = target.strip("/").split("/")
    missing: NotFound | None = None
    for length in (1, 2) if len(parts) > 2 else (len(parts), 1):
        try:
            return client.workspaces.get("/".join(parts[:length])), "/".join(parts[length:])
        except NotFound as error:
            missing = missing or error
    if len(parts) == 1 and not looks_like_id(target):
        made = client.workspaces.create(target)
        say(f"Created {name_of(made)} ({made.id}).")
        return made, ""
    assert missing is not None
    raise missing
