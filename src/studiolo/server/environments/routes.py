"""REST of environments: packages of a workspace, its builds, and what an installation would come to."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import PlainTextResponse, Response, StreamingResponse
from fastapi.sse import format_sse_event

from studiolo.contract.environments import (
    Build,
    BuildDifference,
    EnvironmentDetails,
    InstalledPackage,
    PackageCheck,
    PackageInstall,
    PackageRemove,
    Plan,
    PlannedPackage,
    Rollback,
)
from studiolo.contract.models import Page
from studiolo.contract.notebook_environments import EnvironmentRestore
from studiolo.server.environments.builds import Builds
from studiolo.server.environments.history import History
from studiolo.server.environments.restoring import Restoring
from studiolo.server.environments.searching import CondaSearch
from studiolo.server.http.identity import Allow
from studiolo.server.http.services import service
from studiolo.server.http.streaming import asking, described, respond
from studiolo.server.principal import Principal

router = APIRouter(prefix="/jupyter/workspaces/{workspace}", tags=["environments"])
of_platform = APIRouter(prefix="/jupyter/packages", tags=["environments"])
_Builds = Annotated[Builds, Depends(service("builds"))]
_History = Annotated[History, Depends(service("build_history"))]
_Reads = Annotated[Principal, Depends(Allow("environment.read"))]
_Changes = Annotated[Principal, Depends(Allow("environment.change"))]
_Wait = Annotated[float, Query(ge=0, le=60, description="Seconds to wait for its end.")]
_OfBuild = Annotated[int | None, Query(ge=1, description="Of this build; of the live one without.")]
_TOML = "application/toml"
_SBOM = "application/vnd.cyclonedx+json"


@router.get("/packages")
async def list_packages(workspace: str, who: _Reads, history: _History) -> Page[InstalledPackage]:
    """What its environment holds, by name, read from outside; one page has all."""
    packages = (await history.details(who, workspace)).packages
    return Page(items=packages, total=len(packages))


@router.post("/packages", status_code=202)
async def install_packages(
    workspace: str, form: PackageInstall, who: _Changes, builds: _Builds, history: _History, wait: _Wait = 0
) -> Build:
    """Install packages: a build is asked for. With `wait` the answer is how it ended."""
    made = await builds.install(who, workspace, form)
    return await history.get(who, workspace, made.number, wait_seconds=wait) if wait else made


@router.post("/packages/remove", status_code=202)
async def remove_packages(workspace: str, form: PackageRemove, who: _Changes, builds: _Builds) -> Build:
    """Remove packages: a build is asked for."""
    return await builds.remove(who, workspace, form)


@router.get("/packages/conda/{name}")
async def search_conda(
    workspace: str,
    name: Annotated[str, Path(max_length=200)],
    who: Annotated[Principal, Depends(Allow("environment.plan"))],
    found: Annotated[CondaSearch, Depends(service("conda_search"))],
    channel: Annotated[list[str] | None, Query(max_length=20, description="To look in beside the usual.")] = None,
) -> Page[PlannedPackage]:
    """What conda channels have of a package, newest version first, each judged by the workspace's policy."""
    files = await found.search(who, workspace, name, channel or ())
    return Page(items=files, total=len(files))


@router.post("/packages/check")
async def check_packages(
    workspace: str,
    form: PackageCheck,
    who: Annotated[Principal, Depends(Allow("environment.plan"))],
    history: _History,
) -> Plan:
    """What installing packages in it would come to, each judged by its policy. Nothing is changed."""
    return await history.check(who, workspace, form)


@router.get("/environment")
async def get_environment(workspace: str, who: _Reads, history: _History) -> EnvironmentDetails:
    """Its base, packages, live build, and what of the policy the engine enforces."""
    return await history.details(who, workspace)


@router.get("/environment/lock", response_class=PlainTextResponse, responses={200: {"content": {_TOML: {}}}})
async def get_lock(
    workspace: str,
    who: _Reads,
    history: _History,
    build: _OfBuild = None,
) -> Response:
    """Its lock as a pylock.toml (PEP 751)."""
    lock = await history.lock(who, workspace, build)
    return PlainTextResponse(lock.to_toml(), media_type=_TOML)


@router.get("/environment/sbom", responses={200: {"content": {_SBOM: {}}}})
async def get_sbom(workspace: str, who: _Reads, history: _History, build: _OfBuild = None) -> Response:
    """Its bill of materials, as CycloneDX 1.6."""
    return Response(await history.sbom(who, workspace, build), media_type=_SBOM)


@router.get("/environment/difference")
async def get_difference(
    workspace: str,
    who: _Reads,
    history: _History,
    before: Annotated[int, Query(ge=1)],
    after: Annotated[int, Query(ge=1)],
) -> BuildDifference:
    """What changes from one build to another."""
    return await history.difference(who, workspace, before, after)


@router.get("/environment/builds")
async def list_builds(
    workspace: str,
    who: _Reads,
    history: _History,
    cursor: Annotated[str | None, Query(max_length=20)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Page[Build]:
    """Its builds, newest first."""
    return await history.list_builds(who, workspace, cursor=cursor, limit=limit)


@router.get("/environment/builds/{number}")
async def get_build(workspace: str, number: int, who: _Reads, history: _History, wait: _Wait = 0) -> Build:
    """One build; with `wait` once it has ended."""
    return await history.get(who, workspace, number, wait_seconds=wait)


@router.get(
    "/environment/builds/{number}/progress",
    response_class=StreamingResponse,
    responses=described("`event: line`, data: a line. `event: build`, data: the Build, when it has ended."),
)
async def follow_build(
    workspace: str, number: int, request: Request, who: _Reads, history: _History
) -> StreamingResponse:
    """A build as it goes on, until it has ended."""
    await history.get(who, workspace, number)

    async def events() -> AsyncIterator[bytes]:
        async for news in history.follow(who, workspace, number, asking(request)):
            if isinstance(news, Build):
                yield format_sse_event(event="build", data_str=news.model_dump_json())
            else:
                yield format_sse_event(event="line", data_str=news)

    return respond(events(), request)


@router.delete("/environment/builds/{number}")
async def cancel_build(workspace: str, number: int, who: _Changes, builds: _Builds) -> Build:
    """Cancel a build; the environment stays as it is."""
    return await builds.cancel(who, workspace, number)


@router.post("/environment/rollback", status_code=202)
async def roll_back(workspace: str, form: Rollback, who: _Changes, builds: _Builds) -> Build:
    """Go back to what an earlier build held."""
    return await builds.roll_back(who, workspace, form)


@router.post("/environment/undo", status_code=202)
async def undo(workspace: str, who: _Changes, builds: _Builds) -> Build:
    """Go back to what held before the live build."""
    return await builds.undo(who, workspace)


@router.post("/environment/restore", status_code=202)
async def restore(
    workspace: str,
    form: EnvironmentRestore,
    who: _Changes,
    restoring: Annotated[Restoring, Depends(service("environment_restoring"))],
) -> Build:
    """Have an environment again that a notebook names: by the hash of its lock, else from the packages it had."""
    return await restoring.restore(who, workspace, form)


@router.post("/environment/rebuild", status_code=202)
async def rebuild(workspace: str, who: _Changes, builds: _Builds) -> Build:
    """Make the environment anew from its lock alone."""
    return await builds.rebuild(who, workspace)


@of_platform.post("/check")
async def check_on_platform(
    form: PackageCheck, who: Annotated[Principal, Depends(Allow("package.check"))], history: _History
) -> Plan:
    """What installing packages would come to by the platform's policy, in no workspace."""
    return await history.check(who, None, form)
