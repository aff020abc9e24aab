"""Starting a JupyterLab of nobody's and asking it for its page, so that the next start in this process is quick.

What stays is what Python itself keeps: compiled patterns and templates, the shapes of classes, pages of memory that
are this process's own. Of the server nothing stays: the next one is built anew from its own request.
"""

import asyncio
import base64
import gc
import json
import logging
import os
import signal
import sys
import tempfile
import threading
import weakref
from pathlib import Path
from typing import cast

from jupyter_core.utils import ensure_event_loop
from jupyter_server.gateway.gateway_client import GatewayClient
from jupyter_server.prometheus.metrics import ACTIVE_DURATION, HTTP_REQUEST_DURATION_SECONDS, LAST_ACTIVITY
from jupyter_server.serverapp import ServerApp
from jupyterlab_server.handlers import LabHandler
from tornado.platform.asyncio import BaseAsyncIOLoop

from studiolo.runtime.jupyter import run_lab
from studiolo.runtime.launch import LaunchRequest

_SECONDS = 30.0
_PAUSE_SECONDS = 0.005
_NOBODY = {"id": "p-0", "name": "nobody", "display_name": "Nobody"}
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


class UncleanRehearsalError(RuntimeError):
    """Something of the rehearsal is left in this process, so that no session may run in it."""


def rehearse() -> None:
    """Start, ask and end a server in a folder of its own; raises UncleanRehearsalError if anything of it is left.

    The process must have one thread and no event loop. Its environment variables are as before afterwards.
    """
    variables, descriptors = dict(os.environ), _list_descriptors()
    handlers = {number: signal.getsignal(number) for number in _SIGNALS}
    levels = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with tempfile.TemporaryDirectory(prefix="studiolo-spare-") as folder:
            request = _nobodys_request(Path(folder))
            os.environ.clear()
            os.environ.update(request.variables)
            asking: list[asyncio.Task[bytes]] = []
            run_lab(request, lambda port: asking.append(asyncio.create_task(_ask_and_stop(request))))
    finally:
        logging.disable(levels)
        os.environ.clear()
        os.environ.update(variables)
        for number, handler in handlers.items():
            signal.signal(number, handler)
    if not asking or not asking.pop().result().startswith(b"HTTP/1.1 200 "):
        raise UncleanRehearsalError("the rehearsed server did not answer")
    server = _forget_server()
    if server() is not None or _list_descriptors() != descriptors or threading.active_count() > 1:
        raise UncleanRehearsalError(f"left behind: {server()} {_list_descriptors()} {threading.enumerate()}")


def _nobodys_request(folder: Path) -> LaunchRequest:
    for name in ("launch", "run", "work"):
        (folder / name).mkdir()
    places = dict.fromkeys(("HOME", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"), str(folder))
    return LaunchRequest(
        workload_id="s-0",
        launch=0,
        launch_folder=str(folder / "launch"),
        run_folder=str(folder / "run"),
        socket=str(folder / "run" / "s.sock"),
        folder=str(folder / "work"),
        start_folder="",
        environment=sys.prefix,
        base_url="/s/s-0/",
        grace_seconds=0,
        secret="nobody",  # noqa: S106
        api_key="",
        platform_url="",
        variables={"PATH": os.environ.get("PATH", os.defpath)} | places,
    )


async def _ask_and_stop(request: LaunchRequest) -> bytes:
    try:
        async with asyncio.timeout(_SECONDS):
            reader, writer = await asyncio.open_unix_connection(request.socket)
            person = base64.urlsafe_b64encode(json.dumps(_NOBODY).encode()).decode()
            head = f"GET {request.base_url}lab HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            own = f"X-Studiolo-Secret: {request.secret}\r\nX-Studiolo-Person: {person}\r\nX-Studiolo-Auth: login\r\n"
            writer.write((head + own + "\r\n").encode())
            page = await reader.read()
            writer.close()
            await writer.wait_closed()
            # Extensions do in threads what they do at their start; nothing else tells when they have done.
            while threading.active_count() > 1:  # noqa: ASYNC110
                await asyncio.sleep(_PAUSE_SECONDS)
            return page
    finally:
        ServerApp.instance().stop()


def _forget_server() -> "weakref.ref[ServerApp]":
    """Let go of the server and what it opened; the reference returned is dead if all of it is gone."""
    server = weakref.ref(ServerApp.instance())
    loop = cast(BaseAsyncIOLoop, ServerApp.instance().io_loop)
    loop.asyncio_loop.run_until_complete(_finish())
    loop.close(all_fds=True)
    for kind in (ServerApp, GatewayClient):
        kind.clear_instance()
    # It keeps the handlers of its last requests.
    LabHandler.get_page_config.cache_clear()
    HTTP_REQUEST_DURATION_SECONDS.clear()
    for metric in (LAST_ACTIVITY, ACTIVE_DURATION):
        metric.set_function(float)
    # Sockets in forgotten cycles would be closed later, under numbers that are others' by then.
    gc.collect()
    # Managers of kernels end by a loop of Jupyter's own.
    ensure_event_loop().close()
    asyncio.set_event_loop(None)
    return server


async def _finish() -> None:
    """End what the server would do as long as it runs."""
    await asyncio.sleep(0)
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def _list_descriptors() -> list[str]:
    return sorted(path.name for path in Path("/dev/fd").iterdir())
