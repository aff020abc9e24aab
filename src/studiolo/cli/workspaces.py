"""Commands on workspaces."""

from pathlib import Path
from typing import Annotated

import typer

from studiolo.cli.amounts import (
    CPUOption,
    DiskOption,
    EngineOption,
    GPUOption,
    GPUTypeOption,
    ImageOption,
    IsolationOption,
    MemoryOption,
    ProfileOption,
    TimeLimitOption,
    asked_for,
    describe,
)
from studiolo.cli.arguments import WorkspaceArgument
from studiolo.cli.cloning import BranchOption, TokenOption, UsernameOption, follow, read_token
from studiolo.cli.invocation import connect, current
from studiolo.cli.output import ago, emit, name_of, print_fields, say
from studiolo.cli.places import absolute_if_folder, read_text
from studiolo.cli.session_table import print_sessions
from studiolo.cli.tables import print_table
from studiolo.cli.trash import confirm
from studiolo.contract.errors import InvalidInput
from studiolo.contract.models import Session, Workspace


def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Lower-case letters, digits, '-', '_' and '.'.")],
    description: Annotated[str, typer.Option("--description", metavar="TEXT", help="What it is for.")] = "",
    root: Annotated[
        str | None, typer.Option("--root", metavar="FOLDER", help="A folder of the platform's machine for its files.")
    ] = None,
    cpu: CPUOption = None,
    memory: MemoryOption = None,
    gpu: GPUOption = None,
    gpu_type: GPUTypeOption = None,
    disk: DiskOption = None,
    image: ImageOption = None,
    time_limit: TimeLimitOption = None,
    profile: ProfileOption = None,
    engine: EngineOption = None,
    min_isolation: IsolationOption = None,
    base: Annotated[
        str | None, typer.Option("--base", metavar="NAME", help="What its environment begins from: studiolo bases.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="A workspace-config.yaml; options win over it.")
    ] = None,
    clone: Annotated[
        str | None, typer.Option("--clone", metavar="URL", help="Clone this git repository into it (https).")
    ] = None,
    branch: BranchOption = None,
    username: UsernameOption = None,
    token_stdin: TokenOption = False,
) -> None:
    """Create a workspace: files, an environment of its own, people.

    \b
    Examples:
      studiolo create churn
      studiolo create churn --cpu=4 --memory=8g --gpu=1
      studiolo create churn --clone https://github.com/team/study.git --branch main
      studiolo create churn --config workspace-config.yaml --description "Who leaves, and why"
    """
    given = _clone_of(clone, branch=branch, username=username, token=read_token(token_stdin))
    wanted = asked_for(
        cpu=cpu, memory=memory, gpu=gpu, gpu_type=gpu_type, disk=disk, image=image, time_limit=time_limit
    )
    with connect() as client:
        workspace = client.workspaces.create(
            name,
            description=description,
            root=absolute_if_folder(root) if root else None,
            profile=profile,
            resources=wanted,
            environment={"base": base} if base else None,
            config_file=read_text(config) if config else None,
            clone=given,
            engine=engine,
            min_isolation=min_isolation,
        )
        cloned = follow(client, workspace.id) if given else None

    def text() -> None:
        print(f"Created {name_of(workspace)} ({workspace.id}).")
        if cloned is not None:
            say(f"Cloned {cloned.url} into {cloned.folder}.")
        say(f"Open it: {current().program} open {name_of(workspace)}")

    emit(workspace, text)


def list_(
    query: Annotated[
        str | None, typer.Argument(metavar="TEXT", help="Only those whose name or description contains this.")
    ] = None,
    services: Annotated[bool, typer.Option("--services", help="List sessions instead.")] = False,
    only_workspaces: Annotated[bool, typer.Option("--workspaces", help="Leave the sessions out.")] = False,
) -> None:
    """List the workspaces you can see and the sessions that are alive in them."""
    alive = ("starting", "running", "stopping", "unknown")
    with connect() as client:
        if services:
            print_sessions(list(client.sessions.list(states=alive, page_size=200)))
            return
        workspaces = list(client.workspaces.list(query=query, page_size=200))
        busy = any(workspace.running_sessions for workspace in workspaces) and not only_workspaces
        sessions = list(client.sessions.list(states=alive, everyone=True, page_size=200)) if busy else []
    _print_workspaces(workspaces, None if only_workspaces else sessions)


def info(workspace: WorkspaceArgument) -> None:
    """Show a workspace's details."""
    with connect() as client:
        found = client.workspaces.get(workspace)
        members = client.workspaces.members(found.id)
        policy = client.policies.get(found.id)
        platform = client.platform.get()

    def text() -> None:
        print_fields(
            (
                ("Name", f"{found.owner.name}/{found.name}"),
                ("Id", found.id),
                ("Description", found.description),
                ("Owner", found.owner.display_name),
                ("Your role", found.role or "none (administrator)"),
                ("People", ", ".join(f"{member.person.name} ({member.role})" for member in members)),
                ("Next session", ", ".join(filter(None, (found.profile, describe(found.resources))))),
                ("Environment", _environment(found)),
                ("Policy", f"{policy.number}: studiolo policy show {name_of(found)}"),
                ("Files", found.path),
                ("Sessions", f"{found.running_sessions} running" if found.running_sessions else "none running"),
                ("Created", ago(found.created_at)),
                ("Changed", ago(found.modified_at)),
            )
        )

    policed = {"number": policy.number, "hash": policy.hash, "enforcement": platform.package_policy}
    emit({**found.model_dump(mode="json"), "members": members, "policy": policed}, text)
    for notice in filter(None, (platform.isolation_notice, platform.package_policy)):
        say(f"note: {notice}")


def update(
    workspace: WorkspaceArgument,
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="A new name.")] = None,
    description: Annotated[str | None, typer.Option("--description", metavar="TEXT", help="A new description.")] = None,
) -> None:
    """Rename or describe a workspace; its id and address stay."""
    if name is None and description is None:
        raise InvalidInput("usage-invalid", "Nothing to change.", hint="Give --name or --description.")
    with connect() as client:
        changed = client.workspaces.update(workspace, name=name, description=description)
    emit(changed, lambda: print(f"Changed {name_of(changed)} ({changed.id})."))


def delete(
    workspace: WorkspaceArgument,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    stop_sessions: Annotated[bool, typer.Option("--stop-sessions", help="Stop what runs in it first.")] = False,
) -> None:
    """Delete a workspace and its files; the trash keeps them for a while."""
    with connect() as client:
        found = client.workspaces.get(workspace)
        if not yes:
            confirm(f"Delete {found.owner.name}/{found.name} with its files?", what=f"Deleting {found.name}")
        client.workspaces.delete(found.id, stop_sessions=stop_sessions)
    emit({"id": found.id, "deleted": True}, lambda: print(f"Deleted {found.owner.name}/{found.name} ({found.id})."))
    if not current().json:
        say(f"It stays in the trash for a while: {current().program} trash restore {found.id}")


def _clone_of(url: str | None, **more: str | None) -> dict[str, str] | None:
    given = {name: value for name, value in more.items() if value is not None}
    if url is None:
        if given:
            raise InvalidInput("usage-invalid", "A branch, user name or token is for --clone URL.")
        return None
    return {"url": url} | given


def _print_workspaces(workspaces: list[Workspace], sessions: list[Session] | None) -> None:
    """Print the table; `sessions` None leaves their column out."""
    held = {workspace.id: [s for s in sessions or () if s.workspace.id == workspace.id] for workspace in workspaces}
    data = [
        {**workspace.model_dump(mode="json"), **({} if sessions is None else {"sessions": held[workspace.id]})}
        for workspace in workspaces
    ]
    headers = ["NAME!", "ROLE!", *([] if sessions is None else ["SESSIONS"]), "PEOPLE!", "CHANGED!", "DESCRIPTION"]
    rows = [
        [
            name_of(workspace),
            workspace.role or "admin",
            *([] if sessions is None else [", ".join(s.name for s in held[workspace.id]) or "none"]),
            str(workspace.member_count),
            ago(workspace.modified_at),
            workspace.description.replace("\n", " "),
        ]
        for workspace in workspaces
    ]
    empty = f"No workspaces yet. Make one: {current().program} create NAME"
    emit(data, lambda: print_table(headers, rows, empty=empty))


def _environment(workspace: Workspace) -> str:
    environment = workspace.environment
    return f"{environment.state} ({environment.message})" if environment.message else str(environment.state)
