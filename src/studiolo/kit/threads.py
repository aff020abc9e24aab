"""Work in threads, which nothing can end before they are done."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def finish_in_thread(work: Callable[[], T]) -> T:
    """Do `work` in a thread and return what it returns.

    Whoever is cancelled meanwhile is so once it has ended: what it uses may then be closed or removed. Raises what
    `work` raises.
    """
    task = asyncio.create_task(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise
