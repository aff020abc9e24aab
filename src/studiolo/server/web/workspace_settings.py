"""One workspace's settings: name, size, configuration file; each form shows its own problem."""

from typing import Annotated, Any

from fastapi import Depends, Form, Request
from fastapi.responses import Response

from studiolo.contract.errors import StudioloError
from studiolo.contract.models import WorkspaceUpdate
from studiolo.contract.operations import Role
from studiolo.contract.resources import Scale
from studiolo.contract.sizes import format_size
from studiolo.server.http.identity import Allow
from studiolo.server.principal import Principal
from studiolo.server.services import Services
from studiolo.server.web import forms
from studiolo.server.web.launch_choices import Choice
from studiolo.server.web.render import render, see
from studiolo.server.web.routing import ServicesOf, pages_router, status_of

router = pages_router()
_Text = Annotated[str, Form(max_length=4000)]
_Scales = Annotated[Principal, Depends(Allow("workspace.scale"))]
# No engine has this name; an empty field is one that was not sent.
_DEFAULT = "-"
_LONGEST_FILE = 200_000


@router.get("/w/{workspace}/settings")
async def settings(
    request: Request, workspace: str, who: Annotated[Principal, Depends(Allow("workspace.read"))], services: ServicesOf
) -> Response:
    """A workspace: all that can be changed."""
    return await show_settings(request, who, services, workspace)


@router.post("/w/{workspace}/settings")
async def save(
    request: Request,
    workspace: str,
    who: Annotated[Principal, Depends(Allow("workspace.update"))],
    services: ServicesOf,
    name: _Text = "",
    description: _Text = "",
) -> Response:
    """Rename or describe."""
    try:
        form = forms.read(WorkspaceUpdate, name=name.strip(), description=description)
        saved = await services.workspaces.update(who, workspace, form)
    except StudioloError as problem:
        given = {"name": name, "description": description}
        return await show_settings(request, who, services, workspace, problem=problem, at="about", given=given)
    return see(f"/w/{saved.id}/settings", "saved")


@router.post("/w/{workspace}/size")
async def scale(
    request: Request,
    workspace: str,
    who: _Scales,
    services: ServicesOf,
    profile: _Text = "",
    cpu: _Text = "",
    memory: _Text = "",
    gpu: _Text = "",
    disk: _Text = "",
    engine: _Text = "",
    min_isolation: _Text = "",
) -> Response:
    """Change what its sessions may use, and where they run, from their next start on."""
    choice = Choice(profile=profile, cpu=cpu, memory=memory, gpu=gpu, disk=disk)
    try:
        own = choice.read(workspace).resources
        where = {"engine": "" if engine == _DEFAULT else engine or None, "min_isolation": min_isolation or None}
        await services.sizes.scale(who, workspace, forms.read(Scale, profile=profile or None, resources=own, **where))
    except StudioloError as problem:
        given = {"profile": profile, "cpu": cpu, "memory": memory, "gpu": gpu, "disk": disk}
        given |= {"engine": engine, "min_isolation": min_isolation}
        return await show_settings(request, who, services, workspace, problem=problem, at="size", given=given)
    return see(f"/w/{workspace}/settings", "scaled")


@router.post("/w/{workspace}/config")
async def configure(
    request: Request,
    workspace: str,
    who: _Scales,
    services: ServicesOf,
    text: Annotated[str, Form(max_length=_LONGEST_FILE)] = "",
) -> Response:
    """Replace its workspace-config.yaml."""
    try:
        # Browsers send line ends as CRLF.
        await services.sizes.write_file(who, workspace, text.replace("\r\n", "\n").encode())
    except StudioloError as problem:
        given = {"text": text}
        return await show_settings(request, who, services, workspace, problem=problem, at="config", given=given)
    return see(f"/w/{workspace}/settings", "scaled")


async def show_settings(
    request: Request,
    who: Principal,
    services: Services,
    reference: str,
    *,
    problem: StudioloError | None = None,
    at: str = "",
    given: dict[str, str] | None = None,
) -> Response:
    """Return the page; `problem` stands at the form `at`, which holds what was `given`."""
    own = await services.workspaces.get(who, reference)
    limits = await services.sizes.limits(who, own.id)
    members = await services.members.list_members(who, own.id)
    form: dict[str, Any] = {
        "name": own.name,
        "description": own.description,
        "profile": limits.profile or "",
        "cpu": f"{limits.own.cpu:g}" if limits.own.cpu else "",
        "memory": format_size(limits.own.memory) if limits.own.memory else "",
        "gpu": str(limits.own.gpu) if limits.own.gpu else "",
        "disk": format_size(limits.own.disk) if limits.own.disk else "",
        "engine": limits.own_engine or _DEFAULT,
        "min_isolation": limits.min_isolation or "",
        "text": await services.sizes.read_file(who, own.id),
        "copy_name": f"{own.name}-copy"[:63],
        "person": "",
    }
    return await render(
        request,
        "workspace_settings.html",
        who,
        status=status_of(problem),
        workspace=own,
        limits=limits,
        profiles=services.settings.resources.of_person(who.name).profiles,
        engines=services.engines,
        only_profiles=services.settings.resources.only_profiles,
        policy=await services.policy_revisions.show(who, own.id),
        heirs=[member.person for member in members if member.role is not Role.OWNER],
        form=form | (given or {}),
        problem=problem,
        problem_at=at,
        canonical=f"/w/{own.id}/settings" if problem else None,
    )
