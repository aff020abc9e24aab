"""Requests for packages that a workspace's policy does not allow."""

from datetime import datetime

from studiolo.contract.environments import Ecosystem
from studiolo.contract.models import Page
from studiolo.contract.requests import Approval, Denial, PackageAsk, PackageRequest, RequestState, Scope
from studiolo.sdk.forms import fill
from studiolo.sdk.listing import Listing
from studiolo.sdk.transport import Transport, segment

_PATH = "/jupyter/requests"


class Requests:
    """Ask for packages, see how it goes; administrators approve and deny. A request is named by its id."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def create(
        self, workspace: str, package: str, *, purpose: str = "", ecosystem: Ecosystem = "pypi"
    ) -> PackageRequest:
        """Ask for a package, `torch` or `torch==2.9.0`, or join those who asked for it.

        Raises Conflict (`package-allowed`) where nobody needs to ask, Denied (`requests-off`), InvalidInput
        (`package-invalid`).
        """
        body = fill(PackageAsk, package=package, purpose=purpose, ecosystem=ecosystem)
        path = f"/jupyter/workspaces/{segment(workspace, what='workspace')}/requests"
        return await self._transport.fetch(PackageRequest, "POST", path, body=body)

    def list(
        self,
        *,
        state: RequestState | None = None,
        mine: bool = False,
        workspace: str | None = None,
        page_size: int | None = None,
    ) -> Listing[PackageRequest]:
        """Return requests in your workspaces, of all for administrators, newest first; `mine`: what you asked for."""

        async def fetch(cursor: str | None) -> Page[PackageRequest]:
            asked = {"state": state, "mine": mine or None, "workspace": workspace, "limit": page_size, "cursor": cursor}
            return await self._transport.fetch(Page[PackageRequest], "GET", _PATH, query=asked)

        return Listing(fetch)

    async def get(self, request: str) -> PackageRequest:
        """Return one request, with all that the package would bring along. Raises NotFound (`request-not-found`)."""
        return await self._transport.fetch(PackageRequest, "GET", _of(request))

    async def withdraw(self, request: str) -> PackageRequest:
        """Take your wish back; others who want the same go on to. Raises Conflict (`request-decided`)."""
        return await self._transport.fetch(PackageRequest, "POST", f"{_of(request)}/withdraw")

    async def approve(
        self,
        request: str,
        *,
        scope: Scope = "workspace",
        until: datetime | None = None,
        version: str | None = None,
        reason: str = "",
        exception: bool = False,
        with_dependencies: bool = False,
    ) -> PackageRequest:
        """Allow what was asked for; it is then installed by itself. For administrators.

        `scope` "global": in all workspaces, for all who asked for that name. `until`: when it ends, with its time
        zone. `version`: only these, such as `<3`. `exception`: lift blocks too. `with_dependencies`: allow what it
        needs as well. Raises Conflict (`request-decided`, `approval-not-enough`).
        """
        body = fill(
            Approval,
            scope=scope,
            until=until,
            version=version,
            reason=reason,
            exception=exception,
            with_dependencies=with_dependencies,
        )
        return await self._transport.fetch(PackageRequest, "POST", f"{_of(request)}/approve", body=body)

    async def deny(self, request: str, reason: str) -> PackageRequest:
        """Refuse what was asked for; who asked reads the reason. Raises Conflict (`request-decided`)."""
        body = fill(Denial, reason=reason)
        return await self._transport.fetch(PackageRequest, "POST", f"{_of(request)}/deny", body=body)

    async def install_again(self, request: str) -> PackageRequest:
        """Try a failed installation of what was approved once more; for administrators."""
        return await self._transport.fetch(PackageRequest, "POST", f"{_of(request)}/install")


def _of(request: str) -> str:
    return f"{_PATH}/{segment(request, what='request')}"
