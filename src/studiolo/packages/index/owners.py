"""Who has a project: the first channel that knows its name, and no other."""

from collections.abc import Sequence

from studiolo.contract.errors import StudioloError
from studiolo.packages.index.projects import Project
from studiolo.packages.index.upstream import Upstream
from studiolo.packages.policy.effective import Policy


class Owners:
    """All channels, in the operator's order."""

    def __init__(self, upstreams: Sequence[Upstream], missing: StudioloError | None) -> None:
        """`missing`: why there is no default channel, where there is none."""
        self._upstreams = upstreams
        self._missing = missing

    async def find(
        self, policy: Policy, name: str, *, at_most_old: float | None = None
    ) -> tuple[Upstream, Project] | None:
        """Return the owner of a canonical name and what it lists; None where no channel has it.

        A channel that does not answer is an error, never passed over: whoever takes its names would be served next.
        What is the organisation's own name is not even asked for elsewhere.

        Raises Unavailable (`packages-unavailable`), InvalidInput (`settings-invalid`) without a default channel.
        """
        is_internal = policy.find_internal(name) is not None
        for upstream in self._upstreams:
            if is_internal and upstream.channel.name not in policy.internal_channels:
                continue
            project = await upstream.project(name, at_most_old=at_most_old)
            if project is not None:
                return upstream, project
        if self._missing is not None:
            raise self._missing
        return None
