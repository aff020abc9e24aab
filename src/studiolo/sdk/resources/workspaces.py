"""Workspaces and their members."""

from builtins import list as list_of
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import anyio

from studiolo.contract.archives import CloneProgress, Imported
from studiolo.contract.details import (
    Duplicate,
    Reset,
    Transfer,
    TrashedWorkspace,
    WorkspaceExport,
    WorkspaceMetadata,
    WorkspaceStats,
)
from studiolo.contract.models import Clone, Me, Member, MemberSet, Page, Workspace, WorkspaceCreate, WorkspaceUpdate
from studiolo.contract.moves import Move, MoveProgress
from studiolo.contract.names import check_name
from studiolo.contract.operations import Role
from studiolo.contract.resources import Resources, Scale, WorkspaceHistory, WorkspaceLimits
from studiolo.sdk.forms import fill
from studiolo.sdk.listing import Listing
from studiolo.sdk.transport import Transport, segment

_PATH = "/jupyter/workspaces"
_TRASH = "/jupyter/trash"
_LOOK_SECONDS = 0.5


class Workspaces:
    """Create, find, change and delete workspaces. A workspace is named by id, `owner/name` or name.

    `revision` of a method: the one that you read; Conflict (`workspace-changed`) if it is another by now.
    `resources`: a mapping or model with any of `cpu, memory, gpu, gpu_type, disk, image`; sizes are bytes or `8g`.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, *, query: str | None = None, page_size: int | None = None) -> Listing[Workspace]:
        """Return the workspaces you can see; `query` keeps those whose name or description contains it."""

        async def fetch(cursor: str | None) -> Page[Workspace]:
            asked = {"q": query, "limit": page_size, "cursor": cursor}
            return await self._transport.fetch(Page[Workspace], "GET", _PATH, query=asked)

        return Listing(fetch)

    async def create(
        self,
        name: str,
        *,
        description: str = "",
        root: str | None = None,
        profile: str | None = None,
        resources: Resources | Mapping[str, Any] | None = None,
        environment: Mapping[str, str] | None = None,
        security: Mapping[str, Any] | None = None,
        config_file: str | None = None,
        clone: Clone | Mapping[str, Any] | None = None,
        engine: str | None = None,
        min_isolation: str | None = None,
    ) -> Workspace:
        """Create a workspace. `root`: a folder of the server's machine to use as its files.

        `clone`: a repository (`url`, `branch`, `username`, `token`) to clone into it; `wait_for_clone` waits for it.

        `config_file`: text of a workspace-config.yaml; it counts where the arguments leave something open.
        `engine`: where its sessions run; `min_isolation` (L0 to L4): a launch with less is refused.
        Raises InvalidInput (`name-invalid`, `name-reserved`, `config-invalid`), Conflict (`workspace-exists`),
        LimitReached (`limit-exceeded`).
        """
        body = fill(
            WorkspaceCreate,
            name=name,
            description=description,
            root=root,
            profile=profile,
            resources=resources,
            environment=environment,
            security=security,
            config_file=config_file,
            clone=clone,
            engine=engine,
            min_isolation=min_isolation,
        )
        return await self._transport.fetch(Workspace, "POST", _PATH, body=body)

    async def get(self, workspace: str) -> Workspace:
        """Return one workspace; its former names find it too.

        Raises NotFound (`workspace-not-found`), Conflict (`workspace-ambiguous`, `extra["candidates"]`).
        """
        return await self._transport.fetch(Workspace, "GET", _at(workspace))

    async def update(
        self, workspace: str, *, name: str | None = None, description: str | None = None, revision: int | None = None
    ) -> Workspace:
        """Change name or description; what is None stays."""
        body = fill(WorkspaceUpdate, name=name, description=description)
        return await self._transport.fetch(Workspace, "PATCH", _at(workspace), body=body, revision=revision)

    async def delete(self, workspace: str, *, stop_sessions: bool = False, revision: int | None = None) -> None:
        """Delete a workspace; it stays in the trash for a while.

        Raises Conflict (`workspace-busy`) while its sessions run, unless `stop_sessions`.
        """
        query = {"stop_sessions": True} if stop_sessions else None
        await self._transport.send("DELETE", _at(workspace), query=query, revision=revision)

    async def limits(self, workspace: str) -> WorkspaceLimits:
        """Return what its next session may use, where that comes from, and how it is enforced."""
        return await self._transport.fetch(WorkspaceLimits, "GET", f"{_at(workspace)}/limits")

    async def scale(
        self,
        workspace: str,
        resources: Resources | Mapping[str, Any] | None = None,
        *,
        profile: str | None = None,
        engine: str | None = None,
        min_isolation: str | None = None,
        volumes: Sequence[str] | None = None,
        revision: int | None = None,
    ) -> WorkspaceLimits:
        """Change what its sessions may use and where they run, from their next start on.

        `engine`: empty for the platform's default. `min_isolation` (L0 to L4): a launch with less is refused.
        `volumes`: what it attaches from then on, in place of what it did (see `platform.profiles`).
        Raises LimitReached (`limit-exceeded`, `capacity-exceeded`), InvalidInput (`profile-unknown`,
        `engine-unknown`, `engine-storage`, `isolation-too-low`, `volume-unknown`, `volume-not-supported`).
        """
        body = fill(
            Scale,
            profile=profile,
            resources=resources,
            engine=engine,
            min_isolation=min_isolation,
            volumes=None if volumes is None else list(volumes),
        )
        return await self._transport.fetch(
            WorkspaceLimits, "POST", f"{_at(workspace)}/scale", body=body, revision=revision
        )

    async def config(self, workspace: str) -> str:
        """Return its configuration as the text of a workspace-config.yaml."""
        return await self._transport.fetch_text("GET", f"{_at(workspace)}/config")

    async def set_config(self, workspace: str, text: str) -> Workspace:
        """Replace its configuration by a workspace-config.yaml. Raises InvalidInput (`config-invalid`)."""
        return await self._transport.fetch(Workspace, "PUT", f"{_at(workspace)}/config", body=text)

    async def metadata(self, workspace: str) -> WorkspaceMetadata:
        """Return everything that is known about it beside its files."""
        return await self._transport.fetch(WorkspaceMetadata, "GET", f"{_at(workspace)}/metadata")

    async def export(self, workspace: str) -> WorkspaceExport:
        """Return its description for another platform: no files, no secrets."""
        return await self._transport.fetch(WorkspaceExport, "GET", f"{_at(workspace)}/export")

    async def export_file(self, workspace: str, *, format: Literal["json", "yaml"] = "json") -> str:
        """Return the same as the text of a file."""
        return await self._transport.fetch_text("GET", f"{_at(workspace)}/export", query={"format": format})

    async def export_archive(self, workspace: str, path: str | Path) -> int:
        """Write its files and description into a zip at `path`, which is there once it is whole; return the bytes."""
        target = Path(path)
        part = target.with_name(f"{target.name}.part")
        try:
            with part.open("wb") as file:
                size = await self._transport.download(f"{_at(workspace)}/archive", file)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
        return size

    async def import_archive(self, path: str | Path, *, name: str | None = None) -> Imported:
        """Make a workspace of yours from an archive of `export_archive`, or any zip of files (which needs a `name`).

        Members with an account here get their role again; others are named in the reply.
        Raises InvalidInput (`archive-invalid`, `name-invalid`), LimitReached (`archive-too-large`), Conflict
        (`workspace-exists`).
        """
        if name is not None:
            # A refusal that comes while gigabytes are on their way reads as a broken connection.
            check_name(name)
        with Path(path).open("rb") as file:  # noqa: ASYNC230 local
            return await self._transport.upload(Imported, f"{_PATH}/import", file, query={"name": name})

    async def usage(self, workspace: str) -> WorkspaceHistory:
        """Return what its sessions used: hours of the last week, days of a year; oldest first."""
        return await self._transport.fetch(WorkspaceHistory, "GET", f"{_at(workspace)}/sessions/usage")

    async def clone(
        self,
        workspace: str,
        url: str,
        *,
        branch: str | None = None,
        username: str | None = None,
        token: str | None = None,
    ) -> CloneProgress:
        """Begin to clone a git repository into a folder of its name. `token`: for this time only; it is not kept.

        Raises InvalidInput (`clone-failed`, `egress-refused`), Conflict (`clone-running`, `clone-exists`).
        """
        body = fill(Clone, url=url, branch=branch, username=username, token=token)
        return await self._transport.fetch(CloneProgress, "POST", f"{_at(workspace)}/clone", body=body)

    async def clone_progress(self, workspace: str) -> CloneProgress:
        """Return how the clone goes, or how the last one ended; `state` is `none` if there was none."""
        return await self._transport.fetch(CloneProgress, "GET", f"{_at(workspace)}/clone")

    async def wait_for_clone(
        self, workspace: str, *, tell: Callable[[CloneProgress], None] = lambda progress: None
    ) -> CloneProgress:
        """Wait until the clone has ended; `state` says how. `tell` is given what is known meanwhile."""
        while (progress := await self.clone_progress(workspace)).state == "running":
            tell(progress)
            await anyio.sleep(_LOOK_SECONDS)
        return progress

    async def cancel_clone(self, workspace: str) -> None:
        """Cancel the clone; nothing of it stays. Raises NotFound (`clone-not-found`)."""
        await self._transport.send("DELETE", f"{_at(workspace)}/clone")

    async def move(self, workspace: str, engine: str) -> MoveProgress:
        """Begin to move it to another engine with its files; what it leaves is kept until `confirm_move`.

        Raises InvalidInput (`engine-unknown`, `engine-storage`, `isolation-too-low`), Conflict (`workspace-busy`,
        `move-running`, `move-needless`).
        """
        body = fill(Move, engine=engine)
        return await self._transport.fetch(MoveProgress, "POST", f"{_at(workspace)}/move", body=body)

    async def move_progress(self, workspace: str) -> MoveProgress:
        """Return how a move goes, or how the last one ended; `state` is `none` if there was none."""
        return await self._transport.fetch(MoveProgress, "GET", f"{_at(workspace)}/move")

    async def wait_for_move(
        self, workspace: str, *, tell: Callable[[MoveProgress], None] = lambda progress: None
    ) -> MoveProgress:
        """Wait until nothing of a move is under way; `state` says how it is. `tell` is given what is known by then."""
        underway = ("copying", "checking", "releasing", "returning")
        while (progress := await self.move_progress(workspace)).state in underway:
            tell(progress)
            await anyio.sleep(_LOOK_SECONDS)
        return progress

    async def cancel_move(self, workspace: str) -> MoveProgress:
        """Take a move back that is not confirmed; changes made on the other engine go.

        Raises NotFound (`move-not-found`), Conflict (`workspace-busy`).
        """
        return await self._transport.fetch(MoveProgress, "DELETE", f"{_at(workspace)}/move")

    async def confirm_move(self, workspace: str) -> MoveProgress:
        """Let go of what it left where it came from. Raises NotFound (`move-not-found`)."""
        return await self._transport.fetch(MoveProgress, "POST", f"{_at(workspace)}/move/confirm")

    async def stats(self, workspace: str) -> WorkspaceStats:
        """Return what its sessions use now, and used."""
        return await self._transport.fetch(WorkspaceStats, "GET", f"{_at(workspace)}/stats")

    async def report(self, workspace: str) -> str:
        """Return a report of its use as an HTML page that needs no other file."""
        return await self._transport.fetch_text("GET", f"{_at(workspace)}/report")

    async def duplicate(self, workspace: str, name: str) -> Workspace:
        """Copy its files and configuration to a new workspace of yours. Raises Conflict (`workspace-exists`)."""
        body = fill(Duplicate, name=name)
        return await self._transport.fetch(Workspace, "POST", f"{_at(workspace)}/duplicate", body=body)

    async def transfer(self, workspace: str, person: str) -> Workspace:
        """Make somebody (name, e-mail or id) its owner; old addresses lead to the new one."""
        body = fill(Transfer, person=person)
        return await self._transport.fetch(Workspace, "POST", f"{_at(workspace)}/transfer", body=body)

    async def reset(
        self, workspace: str, *, hard: bool = False, delete_files: bool = False, confirm: str | None = None
    ) -> Workspace:
        """Put its environment back to the platform's default.

        `hard`: kernels and caches go too. `delete_files`: its files go to the trash; `confirm` must be its name.
        """
        body = Reset(hard=hard, delete_files=delete_files, confirm=confirm)
        return await self._transport.fetch(Workspace, "POST", f"{_at(workspace)}/reset", body=body)

    async def clear_cache(self, workspace: str) -> int:
        """Delete what can be downloaded or made again; return the bytes freed."""
        freed = await self._transport.fetch(dict[str, int], "POST", f"{_at(workspace)}/clear-cache")
        return freed["freed"]

    def trash(self, *, page_size: int | None = None) -> Listing[TrashedWorkspace]:
        """Return your deleted workspaces that can still come back."""

        async def fetch(cursor: str | None) -> Page[TrashedWorkspace]:
            asked = {"limit": page_size, "cursor": cursor}
            return await self._transport.fetch(Page[TrashedWorkspace], "GET", _TRASH, query=asked)

        return Listing(fetch)

    async def restore(self, workspace_id: str) -> Workspace:
        """Bring a deleted workspace back. Raises NotFound (`trash-not-found`), Conflict (`workspace-exists`)."""
        path = f"{_TRASH}/{segment(workspace_id, what='workspace')}/restore"
        return await self._transport.fetch(Workspace, "POST", path)

    async def erase(self, workspace_id: str, *, confirm: str) -> None:
        """Erase a deleted workspace for good; `confirm` is its name. Raises NotFound (`trash-not-found`)."""
        path = f"{_TRASH}/{segment(workspace_id, what='workspace')}"
        await self._transport.send("DELETE", path, query={"confirm": confirm})

    async def members(self, workspace: str) -> list_of[Member]:
        """Return who has access."""
        return await self._transport.fetch(list_of[Member], "GET", f"{_at(workspace)}/members")

    async def set_member(self, workspace: str, person: str, role: Role | str) -> Member:
        """Give somebody (name, e-mail or id) a role: owner, editor or viewer.

        Raises NotFound (`person-not-found`), Conflict or Denied (`last-owner`).
        """
        body = fill(MemberSet, person=person, role=role)
        return await self._transport.fetch(Member, "PUT", f"{_at(workspace)}/members", body=body)

    async def remove_member(self, workspace: str, person: str) -> None:
        """Take somebody's access away."""
        who = segment(person, what="person")
        await self._transport.send("DELETE", f"{_at(workspace)}/members/{who}")

    async def leave(self, workspace: str) -> None:
        """Give up your own access; sessions of yours there end. Raises Conflict (`last-owner`)."""
        me = await self._transport.fetch(Me, "GET", "/me")
        await self.remove_member(workspace, me.id)


def _at(workspace: str) -> str:
    return f"{_PATH}/{segment(workspace, what='workspace')}"
