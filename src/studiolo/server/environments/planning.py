"""Plans: what installing packages comes to, unfiltered, and what the workspace's policy says of each of it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from studiolo.contract.environments import Ecosystem, Plan
from studiolo.contract.errors import Conflict, StudioloError, Unavailable
from studiolo.kit.clock import Clock
from studiolo.packages.installed.reading import read_environment
from studiolo.packages.installed.snapshots import Snapshot
from studiolo.packages.policy.effective import Policy
from studiolo.server.environments.installing import Installer, Resolved, Wanted
from studiolo.server.environments.judging import explained, judge, limits_of, names_of, not_after

# The effective policy of a workspace with its number; of the platform for None.
FindPolicy = Callable[[str | None], Awaitable[tuple[int, Policy]]]
# Versions of a project, newest first, that a policy lets pass.
ListPassing = Callable[[str, Policy], Awaitable[Sequence[str]]]


@dataclass(frozen=True, slots=True)
class Ground:
    """What a plan is made for. `environment`: a prefix, live or a base; `interpreter`: one of ours.

    `keep`: specs that were asked for before.
    """

    environment: Path
    interpreter: Path
    keep: Sequence[str] = ()


class Planner:
    """Plans for workspaces, and for the platform where none is named."""

    def __init__(self, clock: Clock, installers: Mapping[Ecosystem, Installer]) -> None:
        self._clock = clock
        self.installers = dict(installers)
        # Set by the composition root; without them nothing is judged, and no versions are told.
        self.policy: FindPolicy | None = None
        self.passing: ListPassing | None = None
        self.ground: Callable[[str | None], Awaitable[Ground]]

    async def plan(
        self,
        workspace_id: str | None,
        specs: Sequence[str],
        ecosystem: Ecosystem = "pypi",
        *,
        upgrade: bool = False,
        channels: Sequence[str] = (),
        explain: bool = True,
        installed: Snapshot | None = None,
    ) -> tuple[Plan, list[Resolved]]:
        """Return the plan for `specs` (as `read_spec` returns them), and the closure that it is about.

        `explain` False leaves out the tree and who needs what, unless there is a violation. `installed`: what is there,
        if it was read just now. Raises Conflict (`package-unsolvable`), Unavailable (`packages-unavailable`,
        `conda-not-available`).
        """
        ground = await self.ground(workspace_id)
        number, policy = await self.policy(workspace_id) if self.policy is not None else (None, None)
        installer, asked, now = self.find(ecosystem), names_of(specs), self._clock.now()
        snapshot = installed
        if snapshot is None:
            snapshot = await asyncio.to_thread(read_environment, ground.environment)
        present = {one.name: one.version for one in snapshot.distributions if one.ecosystem == ecosystem}
        wanted = Wanted(
            environment=ground.environment,
            interpreter=ground.interpreter,
            specs=specs,
            keep=[
                spec for spec in ground.keep if not {*names_of([spec])} & {*asked} and names_of([spec])[0] in present
            ],
            present=present,
            upgrade=frozenset(asked) if upgrade else frozenset(),
            limits=limits_of(policy, asked),
            not_after=not_after(policy, now),
            channels=channels,
            trusted=policy.channels if policy is not None else None,
        )
        closure, wanted = await self._resolve(installer, wanted)
        packages = judge(closure, present, policy, ecosystem, now)
        refused = [one for one in packages if one.verdict != "allow"]
        via = await installer.explain(wanted, closure) if explain or refused else {}
        passing = {one.name: await self._passing(one.name, policy) for one in refused if one.verdict == "hide"}
        made = explained(packages, via, asked, passing)
        hash_ = policy.hash if policy is not None else None
        return made.model_copy(update={"policy_number": number, "policy_hash": hash_}), closure

    def find(self, ecosystem: Ecosystem) -> Installer:
        """Return the installer of an ecosystem. Raises Unavailable (`conda-not-available`)."""
        if ecosystem not in self.installers:
            raise Unavailable(
                "conda-not-available",
                "This platform installs no conda packages.",
                hint="Leave --conda out: most packages are on PyPI too.",
            )
        return self.installers[ecosystem]

    async def _resolve(self, installer: Installer, wanted: Wanted) -> tuple[list[Resolved], Wanted]:
        """Resolve within what the policy leaves; where that leaves nothing, without it, so that it can be said why."""
        try:
            return await installer.resolve(wanted), wanted
        except Conflict:
            if not wanted.limits and wanted.not_after is None:
                raise
            wider = replace(wanted, limits=(), not_after=None)
            return await installer.resolve(wider), wider

    async def _passing(self, name: str, policy: Policy | None) -> Sequence[str]:
        if self.passing is None or policy is None:
            return []
        try:
            return await self.passing(name, policy)
        except StudioloError:
            # An index that does not list them is no reason to say less of the rest.
            return []
