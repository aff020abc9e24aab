"""The limit: a kernel that jupyter_client starts and talks to over ZMQ, with nothing in between."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import zmq
from _kernel_client import Answer, Collector, execute_content
from _processes import clean_environment
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

_START_SECONDS = 60.0
_MOST_SILENCE_SECONDS = 20.0


class ZMQClient:
    """A blocking client of jupyter_client, whose sockets are read directly: quicker than its own methods."""

    def __init__(self, client: BlockingKernelClient, pid: int) -> None:
        self.pid = pid
        self._session = client.session
        self._shell = client.shell_channel.socket
        self._iopub = client.iopub_channel.socket
        self._poller = zmq.Poller()
        self._poller.register(self._shell, zmq.POLLIN)
        self._poller.register(self._iopub, zmq.POLLIN)

    def execute(self, code: str) -> Answer:
        """Run code and return once its reply and its idle have come, or nothing has for long."""
        message = self._session.msg("execute_request", execute_content(code))
        collector = Collector(message["header"]["msg_id"])
        self._session.send(self._shell, message)
        is_whole = False
        while not is_whole:
            ready = self._poller.poll(_MOST_SILENCE_SECONDS * 1000)
            if not ready:
                # ZMQ dropped the end: what did not come is for whoever counts.
                break
            for socket, _ in ready:
                channel = "shell" if socket is self._shell else "iopub"
                is_whole = collector.take(channel, self._receive(socket)) or is_whole
        return collector.answer

    def _receive(self, socket: zmq.Socket[bytes]) -> list[bytes]:
        """Receive a message and check its signature, as clients must on ZMQ."""
        _identities, parts = self._session.feed_identities(socket.recv_multipart())
        signature, *message = parts
        if signature != self._session.sign(message[:4]):
            raise SystemExit("error: a message's signature is wrong.")
        return message


@contextlib.contextmanager
def kernel_on_zmq(transport: Literal["ipc", "tcp"], python: Path) -> Iterator[ZMQClient]:
    """Run an ipykernel of an environment for the length of a block."""
    with tempfile.TemporaryDirectory(prefix="stb-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        manager = KernelManager(transport=transport, connection_file=f"{folder}/c.json")
        if transport == "ipc":
            manager.ip = f"{folder}/k"
        spec = manager.kernel_spec
        assert spec is not None
        spec.argv = [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        manager.start_kernel(env=clean_environment(HOME=folder), cwd=folder)
        client = manager.blocking_client()
        try:
            # With its usual limit of 1,000 messages, an answer's end is lost once this process has to wait.
            client.context.setsockopt(zmq.RCVHWM, 0)
            client.start_channels(hb=False)
            client.wait_for_ready(timeout=_START_SECONDS)
            yield ZMQClient(client, manager.provisioner.pid)
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=True)
