"""The kernel host in a container, job or pod, with a session or alone: `python -m studiolo.gateway.inside DESCRIPTOR`.

Serves on the listening socket DESCRIPTOR; the launch's request (runtime.launch.LaunchRequest) comes as a line on the
standard input. Started, and started anew, by `studiolo.runtime.kernelhost`; see docs/decisions/009 and 013.
"""

import asyncio
import logging
import os
import socket
import ssl
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp

from studiolo.contract.errors import NotFound, NotSignedIn, StudioloError, Unavailable
from studiolo.gateway.base import Caller, KernelExit, KernelPlan, Wish
from studiolo.gateway.composition import Host
from studiolo.gateway.control_plane import ControlPlane, Way
from studiolo.gateway.host import run
from studiolo.gateway.offers.specs import choose, find_resource_file, listing
from studiolo.gateway.platform import CALLER_HEADER, SECRET_HEADER, exit_as_json, read_caller
from studiolo.gateway.settings import HostSettings
from studiolo.gateway.starting.launches import launch_of, session_plan, session_specs
from studiolo.gateway.starting.launching import LocalLauncher
from studiolo.kit.shared_secret import is_shared
from studiolo.runtime.launch import LaunchRequest
from studiolo.runtime.registrations import describe_grounds

# A kernel is not kept waiting for a platform that may be out of reach; one that was is not asked for a while.
_ANSWER_SECONDS = 5.0
_AWAY_SECONDS = 60.0

_log = logging.getLogger(__name__)


class InsideAuthority:
    """Believes the front door's header with the launch's secret; knows the one scope that this launch is.

    What may start is asked of the platform with the session's own key. Where it gives no answer a kernel starts all the
    same: what it can use is the session's, and the platform hears of it by a later report.
    """

    def __init__(self, request: LaunchRequest) -> None:
        self._scope = request.name
        self._is_alone = request.only_kernels
        self._secret = request.secret
        self._session = launch_of(describe_grounds(request))
        self._control = _find_way(request)
        self._away_until = 0.0

    async def identify(self, headers: Mapping[str, str], method: str, path: str, query: Mapping[str, str]) -> Caller:
        """Read the front door's answer. Raises NotSignedIn without the secret, and for any other scope."""
        is_ours = is_shared(headers.get(SECRET_HEADER, ""), self._secret)
        if not is_ours or CALLER_HEADER not in headers:
            raise NotSignedIn("not-signed-in", "Requests come through the front door only.")
        caller = read_caller(headers[CALLER_HEADER])
        if caller.scope.partition(".")[0] != self._scope.partition(".")[0]:
            raise NotSignedIn("not-signed-in", "The kernels of another session are elsewhere.")
        # Who asks for a kernel of an earlier launch finds its journal here.
        return replace(caller, scope=self._scope)

    async def reserve(self, caller: Caller, wish: Wish) -> KernelPlan:
        """Make the plan from the launch, and ask whether it may start. Raises what the platform answers."""
        # Those without a session have what the platform let through, as on its own machine.
        allowed = wish.variables if self._is_alone else ()
        plan = await asyncio.to_thread(session_plan, self._session, caller, wish, allowed=allowed)
        if time.monotonic() < self._away_until:
            return plan
        try:
            asked = {"kernel_id": wish.kernel_id, "spec_name": plan.spec_name, "path": wish.path}
            await self._ask("reserve", {"wish": asked})
        except Unavailable as exc:
            self._away_until = time.monotonic() + _AWAY_SECONDS
            _log.info("Kernel %s starts without the platform's word: %s", wish.kernel_id, exc.message)
        return plan

    async def started(self, kernel_id: str, *, ok: bool, message: str = "") -> None:
        """Tell how the start went, if the platform is to be reached."""
        self._tell("started", {"id": kernel_id, "ok": ok, "message": message})

    async def ended(self, kernel_id: str, exit: KernelExit) -> None:
        """Tell how a kernel ended; a report without it says so too."""
        self._tell("ended", {"id": kernel_id, "exit": exit_as_json(exit)})

    async def report(self, kernels: Sequence[Mapping[str, Any]]) -> Sequence[str]:
        """Report what runs and return what nobody wants. Raises Unavailable."""
        answer = await self._ask("report", {"kernels": list(kernels)})
        self._away_until = 0.0
        return [str(kernel_id) for kernel_id in answer.get("unwanted", [])]

    async def list_elsewhere(self, caller: Caller) -> Sequence[Mapping[str, Any]]:
        """Return nothing: all kernels of the launch are here."""
        return ()

    async def specs(self, caller: Caller) -> Mapping[str, Any]:
        """Return the session's kernelspecs."""
        return listing(await asyncio.to_thread(session_specs, self._session), caller.prefix)

    async def find_default_environment(self) -> Path | None:
        """Return the environment of the kernel that people get who name none; None: it cannot be forked."""
        try:
            return choose(await asyncio.to_thread(session_specs, self._session), None).environment
        except NotFound:
            return None

    async def find_resource(self, caller: Caller, spec_name: str, file_name: str) -> Path | None:
        """Return a logo of one of them."""
        spec = (await asyncio.to_thread(session_specs, self._session)).get(spec_name)
        return None if spec is None else find_resource_file(spec, file_name)

    async def close(self) -> None:
        """Give up what waits for the platform."""
        if self._control is not None:
            await self._control.close()

    async def _ask(self, what: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return {} if self._control is None else await self._control.ask(what, body)

    def _tell(self, what: str, body: Mapping[str, Any]) -> None:
        if self._control is not None:
            self._control.tell_later(what, body)


def main() -> int:
    """Serve until SIGTERM; kernels run on. Returns the exit code."""
    request = LaunchRequest.from_line(sys.stdin.buffer.readline())
    listener = socket.socket(fileno=int(sys.argv[1]))
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    os.umask(0o077)
    try:
        asyncio.run(serve(request, listener))
    except (StudioloError, OSError) as exc:
        _log.error("The kernel host cannot serve: %s", exc)
        return 1
    return 0


async def serve(request: LaunchRequest, listener: socket.socket) -> None:
    """Serve the launch's kernels. Raises Conflict, OSError."""
    settings = HostSettings(data=Path(request.host_folder), run=Path(request.run_folder), secret=request.secret)
    # Spares would count against the session's own limit.
    launcher = LocalLauncher(settings.kernels, settings.run / "k", spares=0)
    authority = InsideAuthority(request)
    warming: asyncio.Task[None] | None = None

    async def listen(host: Host) -> None:
        nonlocal warming
        await host.listen_on(listener)
        warming = asyncio.create_task(_warm_up(launcher, authority))

    try:
        await run(settings, launcher, authority, listen)
    finally:
        if warming is not None:
            warming.cancel()
        await authority.close()


async def _warm_up(launcher: LocalLauncher, authority: InsideAuthority) -> None:
    """Have the first kernel start as quickly as the others."""
    if (environment := await authority.find_default_environment()) is not None:
        await launcher.prepare(environment)


def _find_way(request: LaunchRequest) -> ControlPlane | None:
    """Return how the platform is asked; None for a launch that was told no address or no key."""
    if not (request.platform_url and request.api_key):
        return None
    certificates = request.variables.get("STUDIOLO_CA_FILE")

    def connect() -> aiohttp.TCPConnector:
        # As all programs of the session: what is trusted beside the machine's own is in that file.
        known = certificates if certificates and Path(certificates).exists() else None
        return aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=known))

    url = f"{request.platform_url}/api/v1/sessions/{request.workload_id}/kernels"
    headers = {"Authorization": f"Bearer {request.api_key}"}
    return ControlPlane(Way(url, headers, connect, patience=0.0, seconds=_ANSWER_SECONDS))


if __name__ == "__main__":
    sys.exit(main())
