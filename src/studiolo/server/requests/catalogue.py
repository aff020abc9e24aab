"""What is known of packages before they are allowed: asked of the index host, which reads it from their channels."""

import json
from datetime import datetime
from urllib.parse import quote

from studiolo.contract.environments import Ecosystem
from studiolo.contract.errors import StudioloError
from studiolo.packages.index.callers import HEADER, Caller, caller_header
from studiolo.server.environments.installing import Resolved
from studiolo.server.packages.host import IndexHost
from studiolo.server.requests.grounds import Facts, Policies

# A wheel whose server sends no parts is fetched whole for what it says of itself.
_SECONDS = 20.0


class IndexCatalogue:
    """Implements `grounds.Catalogue`; of conda's packages nothing is known beyond their names."""

    def __init__(self, host: IndexHost, policies: Policies) -> None:
        self._host = host
        self._policies = policies

    async def find(self, workspace_id: str, ecosystem: Ecosystem, package: Resolved) -> Facts:
        """Return what the package's channel and its wheel say of it; what cannot be found out is None."""
        known = Facts(uploaded_at=package.uploaded_at)
        if ecosystem != "pypi" or package.file is None:
            return known
        try:
            _, policy = await self._policies.effective(workspace_id)
            caller = Caller(workspace_id, "", policy.hash, "", "", "planner")
            path = f"/facts/{quote(package.name, safe='')}/{quote(package.file, safe='')}"
            reply = await self._host.send("GET", path, headers={HEADER: caller_header(caller)}, seconds=_SECONDS)
            told = json.loads(reply.content)
            uploaded_at = told["uploaded_at"] and datetime.fromisoformat(told["uploaded_at"])
        except (StudioloError, ValueError, KeyError):
            return known
        return known._replace(
            size_bytes=told.get("size_bytes"),
            uploaded_at=uploaded_at or known.uploaded_at,
            licence=told.get("licence"),
            maintainers=told.get("maintainers"),
        )
