"""Do something again and again for the life of the process; one time that fails costs only itself."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NoReturn

import structlog

from studiolo.contract.errors import StudioloError

_log = structlog.get_logger(__name__)


async def repeat(step: Callable[[], Awaitable[object]], *, every_seconds: float, failed: str) -> NoReturn:
    """Call `step` now and `every_seconds` after each end of it, until cancelled; `failed` names failures in the log."""
    while True:
        try:
            await step()
        except StudioloError as exc:
            _log.warning(failed, code=exc.code, message=exc.message, detail=exc.detail)
        except Exception:
            _log.exception(failed)
        await asyncio.sleep(every_seconds)
