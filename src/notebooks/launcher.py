"""Launch notebooks and share workspaces in a few lines, over the client in `studiolo.sdk`."""

import functools
from typing import Any

from notebooks.models import NotebookSession, NotebookWorkspace, ResourceConfig, SharedResource, WorkspaceMember
from studiolo.contract.details import Share
from studiolo.contract.errors import Conflict, Denied, Unavailable
from studiolo.contract.models import Session, SessionState
from studiolo.sdk import Studiolo

DEFAULT_WORKSPACE = "default"


class NotebookLauncher:
    """Launches JupyterLab sessions. Address and key are found as `studiolo.sdk.credentials` describes."""

    def __init__(self, url: str | None = None, key: str | None = None, *, insecure: bool = False) -> None:
        self._connect = functools.partial(Studiolo, url, key, insecure=insecure)

    def launch(
        self,
        user_email: str | None = None,
        workspace: str | None = None,
        resources: ResourceConfig | None = None,
        *,
        git_repo: str | None = None,
    ) -> NotebookSession:
        """Launch a session and return it when it is ready.

        `user_email` (or name) must be the signed-in person; Denied otherwise. `workspace` is a name,
        `owner/name`, id or folder; left out, it is your workspace `default`, made if you have none.
        `resources` are for this session only. `git_repo` (https) is cloned into a folder of its name beside the
        notebooks before the session starts; a folder of that name is left as it is.

        Raises LimitReached (`limit-exceeded`, `capacity-exceeded`) and InvalidInput (`gpu-not-available`) where the
        resources cannot be had, InvalidInput (`egress-refused`) and Unavailable (`clone-failed`) where the repository
        cannot, Conflict (`session-ended`) if the session fails, Unavailable (`timeout`) after two minutes.
        """
        with self._connect() as client:
            check_claim(client, user_email)
            place = workspace or _default_workspace(client)
            if git_repo is not None:
                _clone(client, place, git_repo)
            session = client.sessions.wait(client.sessions.launch(place, resources=_amounts(resources)).id)
        if session.state is not SessionState.RUNNING:
            raise _failed(session)
        return NotebookSession(session.id, session.notebook_url, str(session.state))


class WorkspaceManager:
    """Creates workspaces and gives people access. Address and key as for NotebookLauncher."""

    def __init__(self, url: str | None = None, key: str | None = None, *, insecure: bool = False) -> None:
        self._connect = functools.partial(Studiolo, url, key, insecure=insecure)

    def create_workspace(self, name: str, description: str = "", owner: str | None = None) -> NotebookWorkspace:
        """Create a workspace. `owner` (e-mail or name) must be the signed-in person; Denied otherwise."""
        with self._connect() as client:
            check_claim(client, owner)
            made = client.workspaces.create(name, description=description)
        return NotebookWorkspace(made.id, made.name, made.description)

    def add_member(self, workspace_id: str, user_email: str, role: str = "viewer") -> WorkspaceMember:
        """Give somebody (e-mail or name) a role in a workspace: owner, editor or viewer."""
        with self._connect() as client:
            member = client.workspaces.set_member(workspace_id, user_email, role)
        return WorkspaceMember(workspace_id, member.person.name, str(member.role))

    def share_notebook(self, workspace_id: str, notebook_path: str, shared_by: str | None = None) -> SharedResource:
        """Show a notebook to the workspace's members. `shared_by` must be the signed-in person, an editor."""
        with self._connect() as client:
            check_claim(client, shared_by)
            share = client.shares.create(workspace_id, notebook_path)
        return _shared(share)

    def list_shared_resources(self, workspace_id: str) -> list[SharedResource]:
        """Return what was shared in a workspace, newest first."""
        with self._connect() as client:
            return [_shared(share) for share in client.shares.list(workspace_id)]


def check_claim(client: Studiolo, claimed: str | None) -> None:
    """Raise Denied unless `claimed` (e-mail, name or id; None claims nothing) is the signed-in person."""
    if claimed is None:
        return
    me = client.me.get()
    if claimed.casefold() not in {known.casefold() for known in (me.email, me.name, me.id) if known}:
        raise Denied(
            "denied",
            f"You are signed in as {me.email or me.name}, so you cannot act as {claimed}.",
            hint="Leave the person out, or sign in as them: studiolo login URL",
        )


def _clone(client: Studiolo, workspace: str, url: str) -> None:
    try:
        client.workspaces.clone(workspace, url)
    except Conflict as conflict:
        # Whoever launches again goes on with what is there, and with what they changed in it.
        if conflict.code != "clone-exists":
            raise
        return
    done = client.workspaces.wait_for_clone(workspace)
    if done.state != "done":
        raise Unavailable("clone-failed", done.message or f"The clone was {done.state}.")


def _amounts(wanted: ResourceConfig | None) -> dict[str, Any] | None:
    if wanted is None:
        return None
    memory = None if wanted.memory_gb is None else f"{wanted.memory_gb}Gi"
    given = {"cpu": wanted.cpu_cores, "memory": memory, "gpu": wanted.gpu_count, "gpu_type": wanted.gpu_type}
    return {name: value for name, value in given.items() if value is not None}


def _shared(share: Share) -> SharedResource:
    return SharedResource(share.id, share.kind, share.path, share.shared_by.name)


def _default_workspace(client: Studiolo) -> str:
    try:
        return client.workspaces.create(DEFAULT_WORKSPACE).id
    except Conflict as conflict:
        if conflict.code != "workspace-exists":
            raise
        return f"{client.me.get().name}/{DEFAULT_WORKSPACE}"


def _failed(session: Session) -> Conflict:
    said = session.reason.message if session.reason else f"it is {session.state}."
    return Conflict(
        "session-ended",
        f"Session {session.name} did not start: {said}",
        hint=f"studiolo logs {session.id} shows its log.",
    )
