"""A kernel that somebody else started, known by its connection file alone: what a bridge can and cannot do with it."""

import asyncio
import contextlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import zmq

from studiolo.contract.errors import Conflict, InvalidInput
from studiolo.gateway.base import Caller, KernelExit, KernelPlan, Process, Wish
from studiolo.gateway.bridge.sockets import address
from studiolo.gateway.keys import Keys
from studiolo.gateway.offers.catalogue import Catalogue
from studiolo.gateway.offers.specs import DEFAULT, Spec, listing
from studiolo.gateway.standalone import Rules, StandaloneAuthority

_BEAT_SECONDS = 3.0
_MISSED_BEATS = 5
_NEEDED = ("shell_port", "iopub_port", "stdin_port", "control_port", "hb_port", "key", "transport", "ip")


class BridgedProcess:
    """Implements Process. Its heart is listened to; it can be asked to end, not made to."""

    def __init__(self, kernel_id: str, connection: Mapping[str, Any]) -> None:
        self.spool: Path | None = None
        self.pid = 0
        self.kernel_id = kernel_id
        self.connection = connection
        self._exit: asyncio.Future[KernelExit] = asyncio.get_running_loop().create_future()
        self._beating: asyncio.Task[None] | None = None

    async def interrupt(self) -> None:
        """Do nothing: its process may be on another machine. It is interrupted by message."""

    async def stop(self, *, grace_seconds: float) -> None:
        """Let go of it: it was asked to end, and more than that cannot be done."""
        self._end(KernelExit("stopped", "The bridge has let go of the kernel.", datetime.now(UTC)))

    async def wait(self) -> KernelExit:
        """Return when its heart has not beaten for some seconds, or it was let go of."""
        if self._beating is None:
            self._beating = asyncio.create_task(self._listen())
        return await asyncio.shield(self._exit)

    def tail(self, lines: int) -> list[str]:
        """Return nothing: what it writes goes elsewhere."""
        return []

    async def _listen(self) -> None:
        missed = 0
        while not self._exit.done():
            missed = 0 if await asyncio.to_thread(self._beats) else missed + 1
            if missed >= _MISSED_BEATS:
                self._end(KernelExit("vanished", "The kernel does not answer any more.", datetime.now(UTC)))
            await asyncio.sleep(_BEAT_SECONDS)

    def _beats(self) -> bool:
        socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.REQ)
        socket.linger = 0
        with contextlib.closing(socket):
            socket.connect(address(self.connection, "hb"))
            socket.send(b"beat")
            return bool(socket.poll(int(_BEAT_SECONDS * 1000)))

    def _end(self, exit: KernelExit) -> None:
        if not self._exit.done():
            self._exit.set_result(exit)


class BridgedLauncher:
    """Implements Launcher for one kernel that runs already. `connection`: as in its connection file."""

    def __init__(self, connection: Mapping[str, Any]) -> None:
        self._connection = connection
        self._is_given = False

    async def start(self, plan: KernelPlan) -> Process:
        """Return the kernel, once."""
        if self._is_given:
            raise Conflict("kernel-not-ours", "The bridge did not start its kernel and cannot start it anew.")
        self._is_given = True
        return BridgedProcess(plan.kernel_id, self._connection)

    async def adopt(self, kernel_id: str) -> Process | KernelExit | None:
        """Return None: a bridge that starts again is given its kernel again."""
        return None

    async def aclose(self) -> None:
        """Let go of the kernel, which goes on."""


class BridgedAuthority(StandaloneAuthority):
    """Lets in as a gateway that stands alone does; the one kernel there is needs no kernelspec."""

    def __init__(self, connection: Mapping[str, Any], keys: Keys | None, rules: Rules, catalogue: Catalogue) -> None:
        super().__init__(catalogue, keys, rules)
        self._name = str(connection.get("kernel_name") or DEFAULT)
        self._folder = rules.root

    async def reserve(self, caller: Caller, wish: Wish) -> KernelPlan:
        """Return a plan that says what is known of it."""
        assert wish.kernel_id is not None
        return KernelPlan(
            kernel_id=wish.kernel_id,
            scope=caller.scope,
            spec_name=self._name,
            argv=(),
            environment=None,
            folder=self._folder,
            variables={},
            interrupt_mode="message",
        )

    async def specs(self, caller: Caller) -> Mapping[str, Any]:
        """List the one kernel under its name."""
        spec = Spec(self._name, None, (), self._name, "")
        return listing({self._name: spec}, caller.prefix, self._name)


def read_connection(file: Path) -> dict[str, Any]:
    """Read a connection file. Raises InvalidInput."""
    try:
        found = json.loads(file.read_text())
        missing = [name for name in _NEEDED if name not in found]
    except (OSError, ValueError, TypeError) as exc:
        raise InvalidInput("request-invalid", f"The connection file {file} cannot be read: {exc}.") from exc
    if missing:
        raise InvalidInput("request-invalid", f"The connection file {file} lacks {', '.join(missing)}.")
    return dict(found)
