"""Packages and environments of workspaces: what is installed, what changes it, and the builds that it went through."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from studiolo.contract.environments import (
    Base,
    BaseCreate,
    Build,
    BuildDifference,
    Ecosystem,
    EnvironmentDetails,
    InstalledPackage,
    PackageCheck,
    PackageFile,
    PackageInstall,
    PackageRemove,
    Plan,
    PlannedPackage,
    Rollback,
)
from studiolo.contract.errors import Conflict, Denied, NotFound, StudioloError, Unavailable
from studiolo.contract.models import Page
from studiolo.contract.notebook_environments import EnvironmentRestore, stamp_of
from studiolo.sdk.forms import fill
from studiolo.sdk.listing import Listing
from studiolo.sdk.notebook_files import is_lock, read_environment, read_text, stamp_file
from studiolo.sdk.transport import Transport, segment

_LOOK_SECONDS = 25.0
_BASES = "/jupyter/bases"
# What the caller of a build that failed could do about it; of all others, try again.
_CLASSES: dict[str, type[StudioloError]] = {
    "package-refused": Denied,
    "package-unsolvable": Conflict,
    "package-not-installed": NotFound,
    "package-of-base": Conflict,
    "build-cancelled": Conflict,
    "build-not-found": NotFound,
}


class Packages:
    """Packages of a workspace's environment. `workspace`: its id, name or `owner/name`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def list(self, workspace: str) -> list[InstalledPackage]:
        """Return what its environment holds, by name."""
        reply = await self._transport.fetch(Page[InstalledPackage], "GET", _at(workspace, "packages"))
        return reply.items

    async def install(
        self,
        workspace: str,
        *packages: str,
        file: PackageFile | None = None,
        ecosystem: Ecosystem = "pypi",
        channel: str | None = None,
        upgrade: bool = False,
        force: bool = False,
        reason: str = "",
        wait_seconds: float = 0,
    ) -> Build:
        """Ask for packages (`numpy`, `pandas==2.0.0`) or what a file lists, and return the build that will have them.

        `wait_seconds`: how long to wait for its end, 60 at most; see also `environments.wait`. `force`: install what
        the policy refuses, for administrators, with a `reason`. Raises InvalidInput (`package-invalid`,
        `package-file-invalid`), Denied.
        """
        body = fill(
            PackageInstall,
            packages=list(packages),
            file=file,
            ecosystem=ecosystem,
            channel=channel,
            upgrade=upgrade,
            force=force,
            reason=reason,
        )
        asked = {"wait": wait_seconds or None}
        return await self._transport.fetch(Build, "POST", _at(workspace, "packages"), body=body, query=asked)

    async def remove(self, workspace: str, *packages: str) -> Build:
        """Ask for packages to be removed. Raises InvalidInput (`package-invalid`)."""
        body = fill(PackageRemove, packages=list(packages))
        return await self._transport.fetch(Build, "POST", _at(workspace, "packages/remove"), body=body)

    async def check(self, *packages: str, workspace: str | None = None, ecosystem: Ecosystem = "pypi") -> Plan:
        """Return what installing packages would come to, each judged: by a workspace's policy, or the platform's.

        Raises Conflict (`package-unsolvable`), Unavailable (`packages-unavailable`).
        """
        body = fill(PackageCheck, packages=list(packages), ecosystem=ecosystem)
        path = _at(workspace, "packages/check") if workspace is not None else "/jupyter/packages/check"
        return await self._transport.fetch(Plan, "POST", path, body=body)

    async def search_conda(self, workspace: str, name: str, channels: Sequence[str] = ()) -> Sequence[PlannedPackage]:
        """Return what the trusted channels have of a conda package, newest first, each judged by the policy.

        `channels`: to look in beside the usual ones. Raises Denied (`package-refused`) for one that is not trusted,
        Unavailable (`packages-unavailable`).
        """
        path = _at(workspace, f"packages/conda/{segment(name, what='package')}")
        reply = await self._transport.fetch(Page[PlannedPackage], "GET", path, query={"channel": list(channels)})
        return reply.items


class Environments:
    """Environments of workspaces and their builds. `workspace`: its id, name or `owner/name`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def get(self, workspace: str) -> EnvironmentDetails:
        """Return its base, packages and live build."""
        return await self._transport.fetch(EnvironmentDetails, "GET", _at(workspace, "environment"))

    def builds(self, workspace: str, *, page_size: int | None = None) -> Listing[Build]:
        """Return its builds, newest first."""

        async def fetch(cursor: str | None) -> Page[Build]:
            asked = {"limit": page_size, "cursor": cursor}
            return await self._transport.fetch(Page[Build], "GET", _at(workspace, "environment/builds"), query=asked)

        return Listing(fetch)

    async def build(self, workspace: str, number: int, *, wait_seconds: float = 0) -> Build:
        """Return a build, once it has ended or so much time has passed (60 at most). Raises NotFound."""
        asked = {"wait": wait_seconds or None}
        return await self._transport.fetch(Build, "GET", _at_build(workspace, number), query=asked)

    async def wait(self, workspace: str, number: int) -> Build:
        """Return a build once it is ready.

        Raises what stood in its way: Denied (`package-refused`, with `violations`), Conflict (`package-unsolvable`,
        `build-cancelled`), Unavailable (`build-failed`).
        """
        while (build := await self.build(workspace, number, wait_seconds=_LOOK_SECONDS)).state == "building":
            pass
        if build.state != "ready":
            raise error_of(build)
        return build

    async def progress(self, workspace: str, number: int) -> AsyncIterator[str]:
        """Yield the lines of a build's progress as they come, until it has ended."""
        async for event in self._transport.stream(f"{_at_build(workspace, number)}/progress"):
            if event.name == "line":
                yield event.data

    async def cancel(self, workspace: str, number: int) -> Build:
        """Cancel a build; the environment stays as it is. Raises Conflict (`build-ended`)."""
        return await self._transport.fetch(Build, "DELETE", _at_build(workspace, number))

    async def rollback(self, workspace: str, to: int) -> Build:
        """Go back to what build `to` held. Raises NotFound (`build-not-found`)."""
        body = fill(Rollback, to=to)
        return await self._transport.fetch(Build, "POST", _at(workspace, "environment/rollback"), body=body)

    async def undo(self, workspace: str) -> Build:
        """Go back to what held before the live build. Raises NotFound (`build-not-found`)."""
        return await self._transport.fetch(Build, "POST", _at(workspace, "environment/undo"))

    async def rebuild(self, workspace: str) -> Build:
        """Make the environment anew from its lock alone."""
        return await self._transport.fetch(Build, "POST", _at(workspace, "environment/rebuild"))

    async def restore(
        self,
        workspace: str,
        *,
        lock: str | None = None,
        hash: str | None = None,
        packages: Sequence[str] = (),
        conda: Sequence[str] = (),
    ) -> Build:
        """Ask for what another environment held, and return the build that will hold it.

        By the text of its `lock`, of any platform; by the lock's `hash`, if this platform has it and you may read it;
        else from packages with exact versions. Raises NotFound (`environment-unknown`), InvalidInput (`lock-invalid`),
        Conflict (`python-differs`, `environment-not-portable`).
        """
        body = fill(EnvironmentRestore, lock=lock, hash=hash, packages=list(packages), conda=list(conda))
        return await self._transport.fetch(Build, "POST", _at(workspace, "environment/restore"), body=body)

    async def restore_notebook(self, notebook: Path | str, workspace: str) -> Build:
        """Ask for the environment that a notebook ran in, as the file says, or of a lock's file (`pylock.toml`).

        Raises InvalidInput, and as `restore`.
        """
        if is_lock(Path(notebook)):
            return await self.restore(workspace, lock=read_text(Path(notebook)))
        told = read_environment(Path(notebook))
        return await self.restore(workspace, hash=told.hash, packages=told.packages, conda=told.conda)

    async def stamp_notebook(self, notebook: Path | str, workspace: str, *, packages: bool = False) -> None:
        """Write into a notebook's file which environment the workspace has, and with `packages` what is in it.

        Source: `contract.notebook_environments`. Raises InvalidInput (`notebook-unusable`).
        """
        found = await self.get(workspace)
        stamp_file(Path(notebook), stamp_of(found, packages=packages))

    async def difference(self, workspace: str, before: int, after: int) -> BuildDifference:
        """Return what changes from one build to another. Raises NotFound (`build-not-found`)."""
        asked = {"before": before, "after": after}
        return await self._transport.fetch(
            BuildDifference, "GET", _at(workspace, "environment/difference"), query=asked
        )

    async def lock(self, workspace: str, build: int | None = None) -> str:
        """Return the lock of a build, or of the live one, as the text of a pylock.toml (PEP 751)."""
        return await self._transport.fetch_text("GET", _at(workspace, "environment/lock"), query={"build": build})

    async def sbom(self, workspace: str, build: int | None = None) -> str:
        """Return the bill of materials of a build, or of the live one, as CycloneDX 1.6 in JSON."""
        return await self._transport.fetch_text("GET", _at(workspace, "environment/sbom"), query={"build": build})


class Bases:
    """What environments begin from: the platform's own base, `default`, and those that administrators added."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def list(self) -> list[Base]:
        """Return all bases."""
        return (await self._transport.fetch(Page[Base], "GET", _BASES)).items

    async def add(self, name: str, file: PackageFile, *, description: str = "", python: str = "") -> Base:
        """Resolve and lock what a file lists (administrators); it is built at its first use.

        Raises InvalidInput (`name-invalid`, `package-file-invalid`), Conflict (`base-exists`, `package-unsolvable`).
        """
        body = fill(BaseCreate, name=name, file=file, description=description, python=python)
        return await self._transport.fetch(Base, "POST", _BASES, body=body)

    async def choose(self, name: str) -> Sequence[Base]:
        """Have new workspaces begin from it unless they name another. Raises NotFound (`base-not-found`)."""
        path = f"{_BASES}/{segment(name, what='base')}/default"
        return (await self._transport.fetch(Page[Base], "POST", path)).items

    async def remove(self, name: str) -> None:
        """Take it off the catalogue. Raises Conflict (`base-in-use`)."""
        await self._transport.send("DELETE", f"{_BASES}/{segment(name, what='base')}")


def error_of(build: Build) -> StudioloError:
    """Return the error that ended a build."""
    cls = _CLASSES.get(build.code or "", Unavailable)
    code = build.code if build.code in _CLASSES else "build-failed"
    error = cls(code, build.message or f"The build was {build.state}.")
    if build.violations:
        error.extra["violations"] = [one.model_dump(mode="json") for one in build.violations]
    return error


def _at(workspace: str, rest: str) -> str:
    return f"/jupyter/workspaces/{segment(workspace, what='workspace')}/{rest}"


def _at_build(workspace: str, number: int) -> str:
    return _at(workspace, f"environment/builds/{number}")
