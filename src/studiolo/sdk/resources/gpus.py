"""GPUs that the platform hands out one by one."""

from studiolo.contract.gpus import GPUNotify, GPUOverview, GPUWait
from studiolo.sdk.forms import fill
from studiolo.sdk.transport import Transport

_PATH = "/gpus"


class GPUs:
    """See GPUs and who has them, and be told when some are free."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def get(self) -> GPUOverview:
        """Return all GPUs that the platform hands out, and what you wait for."""
        return await self._transport.fetch(GPUOverview, "GET", _PATH)

    async def notify(self, count: int = 1, *, type: str | None = None, engine: str | None = None) -> GPUWait:
        """Be told once, when as many are free; in place of what you waited for before.

        Raises InvalidInput (`gpu-not-available`, `gpu-type-unknown`, `engine-unknown`) for what never comes.
        """
        body = fill(GPUNotify, count=count, type=type, engine=engine)
        return await self._transport.fetch(GPUWait, "PUT", f"{_PATH}/notify", body=body)

    async def withdraw(self) -> None:
        """Wait no more; success where you do not."""
        await self._transport.send("DELETE", f"{_PATH}/notify")
