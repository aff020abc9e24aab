"""Ending all sessions and kernels, for a platform that goes down with them."""

import asyncio
import contextlib
from datetime import timedelta

import httpx

from studiolo.contract.errors import Unavailable
from studiolo.kit.local_http import local_client
from studiolo.server.settings import Settings

_LOOK_SECONDS = 0.2
_WAKE_SECONDS = 5.0
# Beyond the grace that each session has: noticing the wish, killing, noting the end.
_MARGIN = timedelta(seconds=30)


async def stop_all_sessions(settings: Settings) -> None:
    """Want every session and kernel stopped and wait until none is alive; the control plane must be running meanwhile.

    Raises Unavailable (`timeout`) if some have not ended within their grace and half a minute.
    """
    from studiolo.server.principal import OPERATOR
    from studiolo.server.services import build

    limit = settings.sessions.stop_grace + _MARGIN
    services = build(settings, engines={})
    try:
        await services.sessions.stop_everything(OPERATOR)
        await services.kernel_stopper.stop_everything({"code": "platform-stopped", "by": OPERATOR.display_name})
        await _wake(settings)
        async with asyncio.timeout(limit.total_seconds()):
            # The ends are noted by another process, in the database.
            while await services.sessions.count_alive() or await services.kernel_stopper.count_left():  # noqa: ASYNC110
                await asyncio.sleep(_LOOK_SECONDS)
    except TimeoutError as exc:
        left, kernels = await services.sessions.count_alive(), await services.kernel_stopper.count_left()
        raise Unavailable(
            "timeout",
            f"{left} sessions and {kernels} kernels have not ended within {limit.total_seconds():.0f} s.",
            hint="studiolo sessions, studiolo kernels list",
        ) from exc
    finally:
        await services.db.close()


async def _wake(settings: Settings) -> None:
    """Have the control plane look now; unheard, it looks by itself within seconds."""
    async with local_client(settings.control_socket, seconds=_WAKE_SECONDS) as client:
        with contextlib.suppress(httpx.HTTPError):
            await client.post("http://localhost/_look", headers={"X-Studiolo-Question": "1"})
