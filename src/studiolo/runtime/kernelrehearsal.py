"""Having a kernel that waits run its first messages, so that a person's first cell is quick.

What stays is what Python itself keeps: pages of memory that are this process's own, shapes of classes, the threads'
own sockets. Of the messages nothing stays.
"""

import asyncio
import linecache
import threading
from functools import partial
from typing import Any

import zmq
from tornado.ioloop import IOLoop

from studiolo.runtime.kernelperson import rehearse_person

_SECONDS = 10.0
_CELL = {"code": "1", "silent": False, "store_history": False, "user_expressions": {}, "allow_stdin": True}


def rehearse(app: Any) -> None:
    """Have the kernel of `app`, which nobody can reach yet, answer what clients ask first, and forget it.

    Raises TimeoutError. Its event loop does not run yet, those of its threads do.
    """
    shell, names = app.shell, dict(app.shell.user_ns)
    hidden, cells = dict(shell.user_ns_hidden), set(linecache.cache)
    rehearse_person(app)
    IOLoop.current().run_sync(partial(_answer, app), timeout=_SECONDS)
    for channel in ("shell", "control"):
        app.kernel.set_parent(b"", {}, channel=channel)
    shell.displayhook.flush()
    shell.history_manager.reset(new_session=False)
    for namespace, before in ((shell.user_ns, names), (shell.user_ns_hidden, hidden)):
        namespace.clear()
        namespace.update(before)
    shell.last_execution_result = None
    shell.compile._filename_map.clear()
    for cell in set(linecache.cache) - cells:
        del linecache.cache[cell]
    app.session.message_count = 0
    _forget_published(app)


async def _answer(app: Any) -> None:
    kernel, control = app.kernel, app.control_thread.io_loop.asyncio_loop
    on_control = kernel.process_control(_message(app, "kernel_info_request", {}))
    answered = asyncio.wrap_future(asyncio.run_coroutine_threadsafe(on_control, control))
    await kernel.dispatch_shell(_message(app, "kernel_info_request", {}))
    await kernel.dispatch_shell(_message(app, "execute_request", _CELL))
    await answered


def _message(app: Any, kind: str, content: dict[str, Any]) -> list[zmq.Frame]:
    """Return a request of a client that is not there: its reply goes nowhere."""
    message = app.session.msg(kind, content)
    return [zmq.Frame(part) for part in app.session.serialize(message, ident=b"nobody")]


def _forget_published(app: Any) -> None:
    """Number what is published from 1 again, once all that was is through."""
    forgotten = threading.Event()

    def forget() -> None:
        app.backlog.acknowledge(app.backlog.last)
        app.backlog.last = 0
        forgotten.set()

    app.iopub_thread.schedule(forget)
    if not forgotten.wait(_SECONDS):
        raise TimeoutError("the kernel did not publish what it was asked to")
