"""The authority of a platform's host: the front door says who asks, the control plane what may start."""

import asyncio
import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from aiohttp import UnixConnector

from studiolo.contract.errors import NotSignedIn, Unavailable
from studiolo.gateway.base import Caller, Elsewhere, KernelExit, KernelPlan, Right, Wish
from studiolo.gateway.control_plane import ControlPlane, Way
from studiolo.gateway.offers.specs import find_resource_file, listing
from studiolo.gateway.starting.launches import read_launch, session_plan, session_specs
from studiolo.gateway.starting.plans import BadPlanError, plan_from_json
from studiolo.kit.shared_secret import is_shared

SECRET_HEADER = "X-Studiolo-Secret"  # noqa: S105
CALLER_HEADER = "X-Studiolo-Kernels"
_QUESTION = {"X-Studiolo-Question": "1"}
# How long a list of kernelspecs holds.
_REMEMBER_SECONDS = 5.0
# A kernel on another engine waits there for its place, and for its start.
_ANSWER_SECONDS = 60.0


class PlatformAuthority:
    """Believes the front door's header with the shared secret; asks the control plane over its unix socket.

    `POST /_kernels/reserve` {caller, wish} (the wish names the kernel's id: asked again with it, the answer is the
    same) answers {plan: KernelPlan's members} for a workspace, or {elsewhere: the kernel} if another engine runs it,
    and for a session {limits: {cpu_limit, memory_limit, process_limit}} or {}: the rest is what its shim wrote.
    `POST /_kernels/specs` {caller} answers as `GET /api/kernelspecs`. `started`, `ended` and `report` as in
    docs/decisions/005. Errors of the control plane are problem replies and are passed on as they are.
    """

    def __init__(self, *, secret: str, control: Path, run: Path) -> None:
        self._secret = secret
        headers = _QUESTION | {SECRET_HEADER: secret}
        way = Way("http://control/_kernels", headers, lambda: UnixConnector(str(control)), seconds=_ANSWER_SECONDS)
        self._control = ControlPlane(way)
        self._run = run
        self._specs: dict[str, tuple[float, Mapping[str, Any]]] = {}

    def is_ours(self, headers: Mapping[str, str]) -> bool:
        """Tell whether a request carries the secret that front door, control plane and host share."""
        return is_shared(headers.get(SECRET_HEADER, ""), self._secret)

    async def identify(self, headers: Mapping[str, str], method: str, path: str, query: Mapping[str, str]) -> Caller:
        """Read the front door's answer. Raises NotSignedIn without the secret."""
        if not self.is_ours(headers) or CALLER_HEADER not in headers:
            raise NotSignedIn("not-signed-in", "Requests come through the front door only.")
        return read_caller(headers[CALLER_HEADER])

    async def reserve(self, caller: Caller, wish: Wish) -> KernelPlan | Elsewhere:
        """Ask the control plane; a session's kernel gets its environment, folder and group from the session."""
        if caller.scope.startswith("w-"):
            answer = await self._control.ask("reserve", {"caller": _as_json(caller), "wish": asdict(wish)})
            if "elsewhere" in answer:
                return Elsewhere(answer["elsewhere"])
            try:
                return plan_from_json(answer.get("plan"))
            except BadPlanError as exc:
                raise Unavailable("control-plane-unreachable", "The control plane's answer is not understood.") from exc
        plan = await asyncio.to_thread(session_plan, read_launch(self._run, caller.scope), caller, wish)
        named = asdict(wish) | {"spec_name": plan.spec_name}
        answer = await self._control.ask("reserve", {"caller": _as_json(caller), "wish": named})
        return replace(plan, **answer.get("limits", {}))

    async def started(self, kernel_id: str, *, ok: bool, message: str = "") -> None:
        """Tell how the start went, at once or when the control plane is back."""
        self._control.tell_later("started", {"id": kernel_id, "ok": ok, "message": message})

    async def ended(self, kernel_id: str, exit: KernelExit) -> None:
        """Tell how a kernel ended, at once or when the control plane is back; the report says it again."""
        self._control.tell_later("ended", {"id": kernel_id, "exit": exit_as_json(exit)})

    async def report(self, kernels: Sequence[Mapping[str, Any]]) -> Sequence[str]:
        """Report what runs and return what nobody wants. Raises Unavailable."""
        answer = await self._control.ask("report", {"kernels": list(kernels)})
        return [str(kernel_id) for kernel_id in answer.get("unwanted", [])]

    async def list_elsewhere(self, caller: Caller) -> Sequence[Mapping[str, Any]]:
        """Return those that workspaces have on other engines. Raises Unavailable."""
        if not caller.scope.startswith("w-"):
            return ()
        answer = await self._control.ask("elsewhere", {"caller": _as_json(caller)})
        return list(answer.get("kernels", ()))

    async def specs(self, caller: Caller) -> Mapping[str, Any]:
        """Return the session's own kernelspecs, or what the control plane says of a workspace."""
        if not caller.scope.startswith("w-"):
            session = read_launch(self._run, caller.scope)
            return listing(await asyncio.to_thread(session_specs, session), caller.prefix)
        now = asyncio.get_running_loop().time()
        until, known = self._specs.get(caller.scope, (0.0, {}))
        if now < until:
            return known
        answer = await self._control.ask("specs", {"caller": _as_json(caller)})
        if len(self._specs) > 1000:
            self._specs.clear()
        self._specs[caller.scope] = now + _REMEMBER_SECONDS, answer
        return answer

    async def find_resource(self, caller: Caller, spec_name: str, file_name: str) -> Path | None:
        """Return a logo of a session's kernelspec; those of workspaces have none."""
        if caller.scope.startswith("w-"):
            return None
        session = read_launch(self._run, caller.scope)
        spec = (await asyncio.to_thread(session_specs, session)).get(spec_name)
        return None if spec is None else find_resource_file(spec, file_name)

    async def close(self) -> None:
        """Give up what waits for the control plane, and close connections."""
        await self._control.close()


def read_caller(header: str) -> Caller:
    """Read what the front door answered: base64url JSON. Raises NotSignedIn."""
    try:
        padded = header + "=" * (-len(header) % 4)
        found = json.loads(base64.urlsafe_b64decode(padded))
        person = found["person"]
        return Caller(
            scope=str(found["scope"]),
            rights=frozenset(Right(right) for right in found["rights"]),
            person_id=str(person["id"]),
            person_name=str(person["name"]),
            login=str(found["login"]),
            prefix=str(found["prefix"]),
            origin=found.get("origin"),
        )
    except (ValueError, KeyError, TypeError) as exc:
        raise NotSignedIn("not-signed-in", "The front door's answer is not understood.", detail=repr(exc)) from exc


def exit_as_json(exit: KernelExit) -> dict[str, Any]:
    """Return how a kernel ended, as the control plane is told of it."""
    return asdict(exit) | {"at": exit.at.isoformat()}


def _as_json(caller: Caller) -> dict[str, Any]:
    return asdict(caller) | {"rights": sorted(caller.rights)}
