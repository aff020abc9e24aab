"""What builds have of the policies and the index: rules for plans, exceptions for `--force`, a way to fetch files."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

from studiolo.contract.environments import PlannedPackage
from studiolo.kit.db import Transaction
from studiolo.packages.clients.netrc import entry
from studiolo.server.environments.builds import MakeException
from studiolo.server.environments.installing import IndexAccess
from studiolo.server.environments.making import Job, OpenIndex
from studiolo.server.environments.planning import Planner
from studiolo.server.packages.clients import PackageClients
from studiolo.server.packages.credentials import LOGIN, IndexCredentials
from studiolo.server.packages.grants import Grants
from studiolo.server.principal import Principal

# A build that takes longer than this to fetch its files fails, and can be asked for again.
_FETCHING = timedelta(hours=1)


def excepter(grants: Grants) -> MakeException:
    """Return how to allow exactly one version in one workspace."""

    async def make(tx: Transaction, who: Principal, workspace_id: str, one: PlannedPackage, reason: str) -> None:
        await grants.add(
            tx,
            who,
            kind="exception",
            workspace_id=workspace_id,
            ecosystem=one.ecosystem,
            name=one.name,
            specifier=f"=={one.version}",
            reason=reason,
        )

    return make


def closer(planner: Planner) -> Callable[[Sequence[str]], Awaitable[list[str]]]:
    """Return how to find the names of all that some specs need, themselves included."""

    async def find(specs: Sequence[str]) -> list[str]:
        _, closure = await planner.plan(None, specs, explain=False)
        return [one.name for one in closure]

    return find


def opener(clients: PackageClients, credentials: IndexCredentials) -> OpenIndex:
    """Return how a build reaches our own index, as the workloads of its workspace do, in the name of its person."""

    @asynccontextmanager
    async def open_index(job: Job) -> AsyncIterator[IndexAccess]:
        key = credentials.make(
            job.id,
            cause="build",
            person_id=job.row["made_by"] or "",
            session_id=job.row["session_id"] or "",
            lifetime=_FETCHING,
        )
        index = await clients.index(job.id)
        yield IndexAccess(index.simple, entry(index.host, LOGIN, key), index.certificates)

    return open_index
