"""Package policies: the organisation's, and each workspace's."""

from typing import Literal

from studiolo.contract.models import Page
from studiolo.contract.policies import (
    EffectivePolicy,
    Judgement,
    PolicyDocument,
    PolicyOutlook,
    PolicyRevision,
    PolicySet,
)
from studiolo.sdk.forms import fill
from studiolo.sdk.listing import Listing
from studiolo.sdk.transport import Transport, segment


class Policies:
    """See what holds, set it, see what it was. `workspace` None means the organisation's policy.

    Raises NotFound (`workspace-not-found`) where a workspace is not there.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def get(self, workspace: str | None = None) -> EffectivePolicy:
        """Return what holds, with its number and where each part of it comes from."""
        return await self._transport.fetch(EffectivePolicy, "GET", _at(workspace))

    async def set(
        self, document: str, workspace: str | None = None, *, note: str = "", after: int | None = None
    ) -> EffectivePolicy:
        """Set a policy, the text of a `workspace-security.yaml`, as a new revision, and return what holds then.

        `after`: the number of the revision that you read, so that nobody's change is lost. Raises InvalidInput
        (`policy-invalid`: `errors` has line and column of each bad entry), Conflict (`policy-changed`).
        """
        body = fill(PolicySet, document=document, note=note, after=after)
        return await self._transport.fetch(EffectivePolicy, "PUT", _at(workspace), body=body)

    def history(self, workspace: str | None = None, *, page_size: int | None = None) -> Listing[PolicyRevision]:
        """Return the revisions, the latest first."""

        async def fetch(cursor: str | None) -> Page[PolicyRevision]:
            asked = {"limit": page_size, "cursor": cursor}
            return await self._transport.fetch(Page[PolicyRevision], "GET", f"{_at(workspace)}/history", query=asked)

        return Listing(fetch)

    async def what_if(self, document: str, workspace: str | None = None) -> PolicyOutlook:
        """Return what a policy would change for packages that are installed or asked for; nothing is set."""
        body = fill(PolicyDocument, document=document)
        return await self._transport.fetch(PolicyOutlook, "POST", f"{_at(workspace)}/what-if", body=body)

    async def check(
        self,
        name: str,
        workspace: str | None = None,
        *,
        version: str | None = None,
        ecosystem: Literal["pypi", "conda"] = "pypi",
    ) -> Judgement:
        """Return what holds for a package by its name alone: nothing is looked up, nor what it needs judged."""
        asked = {"name": name, "version": version, "ecosystem": ecosystem}
        return await self._transport.fetch(Judgement, "GET", f"{_at(workspace)}/check", query=asked)

    async def refused_of_base(self) -> list[Judgement]:
        """Return which packages of the base the organisation's policy refuses to everybody (administrators)."""
        return await self._transport.fetch(list[Judgement], "GET", f"{_at(None)}/base")

    async def revoke(self, grant: str) -> None:
        """Take an approval or an exception back (administrators). Raises NotFound (`grant-not-found`)."""
        await self._transport.send("DELETE", f"{_at(None)}/grants/{segment(grant, what='grant')}")


def _at(workspace: str | None) -> str:
    if workspace is None:
        return "/jupyter/policy"
    return f"/jupyter/workspaces/{segment(workspace, what='workspace')}/policy"
