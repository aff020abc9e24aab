"""Work in threads that a coroutine waits for.

A process that was forked goes on with the loop that its parent had: with a pipe for waking it that all children share,
and an executor whose threads are dead. So neither is used here. jupyter_client, which runs blocking programs on such a
loop, uses sockets alone.
"""

import asyncio
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


async def apart(work: Callable[[], T]) -> T:
    """Return what `work` returns, or raise what it raises. Cancelled, it goes on, and nobody hears of its end."""
    done: Future[T] = Future()

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as error:
            done.set_exception(error)

    threading.Thread(target=run, daemon=True, name="kernels elsewhere").start()
    await settled(done)
    return done.result()


async def settled(future: "Future[Any]") -> None:
    """Wait until another thread has settled a future."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    future.add_done_callback(lambda _: theirs.close())
    with ours:
        await asyncio.get_running_loop().sock_recv(ours, 1)
