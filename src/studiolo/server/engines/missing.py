"""The place of an engine that a session names and the settings do not name any more."""

from datetime import timedelta

from studiolo.contract.errors import Unavailable
from studiolo.engines.base import Handle, Observation, Phase, Storage, WorkloadSpec


class MissingEngine:
    """Says so at each call. What ran there is unknown, not ended: it may run on (promise R6)."""

    isolation = "L0"
    storage: Storage = "shared"
    runs_images = False

    def __init__(self, name: str) -> None:
        self.name = name

    async def start(self, spec: WorkloadSpec) -> Handle:
        """Raise."""
        raise self._gone()

    async def observe(self, handle: Handle) -> Observation:
        """Say that nothing can be known."""
        return Observation(Phase.UNKNOWN, message=self._gone().message)

    async def stop(self, handle: Handle, *, grace: timedelta) -> None:
        """Raise."""
        raise self._gone()

    def _gone(self) -> Unavailable:
        return Unavailable(
            "engine-unavailable",
            f"The engine {self.name} is not among this platform's any more.",
            hint=f"An administrator can put its table [engines.{self.name}] back into the settings.",
        )
