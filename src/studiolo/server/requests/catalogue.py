"""What is known of packages before they are allowed: asked of the index host, which reads it from their channels."""

import asyncio
import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from studiolo.contract.environments import Ecosystem
from studiolo.contract.errors import StudioloError
from studiolo.packages.index.callers import HEADER, Caller, caller_header
from studiolo.packages.index.projects import split_file, time_of
from studiolo.packages.names import key
from studiolo.packages.policy.decisions import Subject
from studiolo.packages.policy.effective import Policy
from studiolo.packages.policy.rules import read_version
from studiolo.packages.scan import osv
from studiolo.packages.scan.vulnerabilities import is_affected
from studiolo.server.environments.installing import Resolved
from studiolo.server.packages.effective import Policies
from studiolo.server.packages.host import IndexHost
from studiolo.server.requests.grounds import Facts

# A wheel whose server sends no parts is fetched whole for what it says of itself.
_SECONDS = 20.0
_MOST_VERSIONS = 10
_JSON = "application/vnd.pypi.simple.v1+json"


class IndexCatalogue:
    """Implements `grounds.Catalogue`; of conda's packages nothing is known beyond their names."""

    def __init__(self, host: IndexHost, policies: Policies, osv_index: Path | None) -> None:
        """`osv_index`: where scans put what they know of vulnerabilities; None: no export is mounted."""
        self._host = host
        self._policies = policies
        self._osv_index = osv_index

    async def find(self, workspace_id: str, ecosystem: Ecosystem, package: Resolved) -> Facts:
        """Return what the package's channel and its wheel say of it; what cannot be found out is None."""
        known = Facts(uploaded_at=package.uploaded_at)
        if ecosystem != "pypi":
            return known
        if self._osv_index is not None:
            found = await asyncio.to_thread(find_vulnerabilities, self._osv_index, package.name, package.version)
            known = known._replace(vulnerabilities=found)
        if package.file is None:
            return known
        try:
            _, policy = await self._policies.effective(workspace_id)
            told = await self._ask(policy, f"/facts/{quote(package.name, safe='')}/{quote(package.file, safe='')}")
            uploaded_at = told["uploaded_at"] and datetime.fromisoformat(told["uploaded_at"])
        except (StudioloError, ValueError, KeyError):
            return known
        return known._replace(
            size_bytes=told.get("size_bytes"),
            uploaded_at=uploaded_at or known.uploaded_at,
            licence=told.get("licence"),
            maintainers=told.get("maintainers"),
        )

    async def list_passing(self, name: str, policy: Policy) -> list[str]:
        """Return the versions of a project that the index offers under a policy, newest first, ten at most.

        Raises StudioloError where the index does not answer or has no such project.
        """
        page = await self._ask(policy, f"/pypi/simple/{quote(name, safe='')}/", Accept=_JSON)
        offered = [one for one in page["files"] if "/denied/" not in one["url"] and not one.get("yanked")]
        found = {parts[1] for one in offered if (parts := split_file(one["filename"], name)) is not None}
        known = {version: parsed for version in found if (parsed := read_version(version)) is not None}
        return sorted(known, key=known.__getitem__, reverse=True)[:_MOST_VERSIONS]

    async def list_files(self, name: str, policy: Policy) -> list[Subject]:
        """Return what a policy judges of a project's files. Raises StudioloError as `list_passing` does."""
        told = await self._ask(policy, f"/facts/{quote(name, safe='')}/")
        return [
            Subject(
                "pypi",
                name,
                version=one["version"],
                file=one["file"],
                channel=told["channel"],
                uploaded_at=time_of(one["uploaded_at"]),
                is_wheel=one["is_wheel"],
                sha256=one["sha256"],
            )
            for one in told["files"]
        ]

    async def _ask(self, policy: Policy, path: str, **headers: str) -> Any:
        caller = caller_header(Caller("", "", policy.hash, "", "", "planner"))
        return (await self._host.send("GET", path, headers={HEADER: caller} | headers, seconds=_SECONDS)).json()


def find_vulnerabilities(index: Path, name: str, version: str) -> list[str] | None:
    """Return ids of advisories on a version, by an index that a scan made; None where none can be told. Blocking."""
    if (parsed := read_version(version)) is None:
        return None
    try:
        with closing(sqlite3.connect(f"file:{quote(str(index))}?mode=ro", uri=True)) as database:
            advisories = osv.find(database, key(name))
    except sqlite3.Error:
        return None
    return sorted(one["id"] for one in advisories if any(is_affected(parsed, part) for part in one["affected"]))
