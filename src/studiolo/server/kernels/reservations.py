"""The host's question before anything starts: may this person have one more kernel, and what is it to be?"""

import asyncio
from datetime import timedelta
from typing import Any

from sqlalchemy import RowMapping

from studiolo.contract.errors import Conflict, Denied, Unavailable
from studiolo.contract.models import EnvironmentState, SessionState
from studiolo.gateway.base import Caller, Right, Wish
from studiolo.gateway.offers.specs import choose, listing
from studiolo.gateway.starting.plans import plan_as_json
from studiolo.kit.db import Database
from studiolo.server.accounts.authentication import Authentication
from studiolo.server.environments.service import Environments
from studiolo.server.gpus.leases import Holder
from studiolo.server.kernels.admission import KernelAdmission
from studiolo.server.kernels.elsewhere import KernelsElsewhere
from studiolo.server.kernels.grounds import Ground, without
from studiolo.server.kernels.rows import KernelRows
from studiolo.server.kernels.secrets import KernelSecrets
from studiolo.server.kernels.wishes import read_wanted
from studiolo.server.principal import Principal
from studiolo.server.sessions.service import Sessions
from studiolo.server.workspaces.service import Workspaces

# As long as the host waits for an answer, less a little.
_ENVIRONMENT_WAIT = timedelta(seconds=25)
_LOOK_SECONDS = 0.1


class Reservations:
    """Admits kernels: row, limits and audit event in one transaction; has those start that are to run elsewhere."""

    def __init__(
        self,
        db: Database,
        authentication: Authentication,
        workspaces: Workspaces,
        sessions: Sessions,
        environments: Environments,
        rows: KernelRows,
        admission: KernelAdmission,
        ground: Ground,
        kernel_secrets: KernelSecrets,
        elsewhere: KernelsElsewhere,
    ) -> None:
        self._db = db
        self._authentication = authentication
        self._workspaces = workspaces
        self._sessions = sessions
        self._environments = environments
        self._rows = rows
        self._admission = admission
        self._ground = ground
        self._secrets = kernel_secrets
        self._elsewhere = elsewhere

    async def reserve(self, caller: Caller, wish: Wish) -> dict[str, Any]:
        """Return {plan} for a workspace, {limits} for a session. Asked again with the same id, the same answer.

        {elsewhere: the kernel as Jupyter's API shows it} when it was started on another engine.

        Raises NotSignedIn, Denied, NotFound (`kernelspec-not-found`, …), Conflict (`kernel-exists`,
        `session-not-running`), LimitReached (`too-many-kernels`, …), InvalidInput, Unavailable
        (`environment-not-ready`); Denied also for an environment that the start-up scan refuses.
        """
        who = await self._identify(caller, Right.START)
        if wish.kernel_id is None:
            raise ValueError("the host names the kernel")
        if caller.scope.startswith("s-"):
            await self._reserve_in_session(who, caller.scope, wish)
            return {"limits": {}}
        return await self._reserve_in_workspace(who, caller, wish)

    async def list_elsewhere(self, caller: Caller) -> dict[str, Any]:
        """Return {kernels: as Jupyter's API shows them} of the caller that run on other engines."""
        return {"kernels": await self._elsewhere.list_(await self._identify(caller, Right.SEE), caller)}

    async def specs(self, caller: Caller) -> dict[str, Any]:
        """Return the answer of `GET /api/kernelspecs` for a workspace."""
        who = await self._identify(caller, Right.SEE)
        async with self._db.read() as connection:
            row = await self._workspaces.resolve(connection, who, caller.scope, "kernel.specs")
        await self._await_environment(row)
        place = {"engine": self._elsewhere.engine_of(row["config"])}
        return listing(await asyncio.to_thread(self._ground.specs, row["id"], place), caller.prefix)

    async def _identify(self, caller: Caller, right: Right) -> Principal:
        """Who it is now, whatever the front door was told when the request began."""
        load = self._authentication.by_login_id if caller.login.startswith("l-") else self._authentication.by_key_id
        who = (await load(caller.login)).at_gateway()
        if who.person_id != caller.person_id or right not in caller.rights:
            raise Denied("denied", "You may look at kernels here, not start them.", hint="Ask an owner for more.")
        return who

    async def _reserve_in_session(self, who: Principal, scope: str, wish: Wish) -> None:
        session_id, _, launch = scope.partition(".")
        async with self._db.read() as connection:
            row = await self._sessions.resolve(connection, who, session_id, "session.enter")
        spec = (await asyncio.to_thread(self._ground.specs, row["workspace_id"])).get(wish.spec_name or "")
        async with self._db.write(durable=False) as tx:
            row = await self._sessions.resolve(tx.connection, who, session_id, "session.enter")
            if str(row["handle_launch"]) != launch or row["state"] not in (
                SessionState.STARTING,
                SessionState.RUNNING,
                SessionState.UNKNOWN,
            ):
                raise Conflict("session-not-running", "The session does not run.", hint="Start it again.")
            await self._rows.add_to_session(tx, who, row, wish, spec)

    async def _reserve_in_workspace(self, who: Principal, caller: Caller, wish: Wish) -> dict[str, Any]:
        wanted, kernel_id = read_wanted(wish.variables), str(wish.kernel_id)
        reference = caller.scope
        if caller.prefix == "/" and wanted.workspace is not None:
            reference = wanted.workspace
        async with self._db.read() as connection:
            row = await self._workspaces.resolve(connection, who, reference, "kernel.start")
            engine = await self._elsewhere.choose(connection, row, wish, wanted)
        if engine is not None:
            return {"elsewhere": await self._elsewhere.start(who, row, wish, wanted, engine)}
        await self._await_environment(row)
        await self._ground.startup.check(row["id"], self._ground.folders.environment(row["id"]))
        spec = choose(await asyncio.to_thread(self._ground.specs, row["id"]), wish.spec_name)
        engine, machine = await self._admission.look()
        async with self._db.write() as tx:
            row = await self._workspaces.resolve(tx.connection, who, row["id"], "kernel.start")
            known = await self._rows.find(tx.connection, row["id"], wish)
            if known is not None and known["ended_at"] is None:
                allowed = known["allowed"]
            else:
                await self._admission.check_numbers(tx.connection, person_id=who.person_id, workspace_id=row["id"])
                allowed = await self._admission.admit(
                    tx.connection,
                    engine,
                    machine,
                    wanted,
                    row["config"],
                    Holder(kernel_id, who.person_id, who.name, row["id"]),
                )
                await self._rows.add_headless(tx, who, row["id"], wish, spec, allowed)
        await asyncio.to_thread(self._secrets.write_key, self._ground.key_file(kernel_id), kernel_id)
        wish, key = without(wish, wanted.variables), self._secrets.api_key(kernel_id)
        plan = await self._ground.plan(row, who, wish, spec, allowed, machine, key=key)
        return {"plan": plan_as_json(plan)}

    async def _await_environment(self, row: RowMapping) -> None:
        """Return once the workspace's environment is there. Raises Unavailable (`environment-not-ready`)."""
        loop = asyncio.get_running_loop()
        until = loop.time() + _ENVIRONMENT_WAIT.total_seconds()
        if row["environment_state"] == EnvironmentState.READY and self._ground.has_environment(row["id"]):
            return
        if row["environment_state"] == EnvironmentState.READY:
            await self._environments.restore(row["id"])
        self._environments.want(row["id"])
        while loop.time() < until:
            state, message = await self._workspaces.environment_state(row["id"])
            if state == EnvironmentState.READY:
                return
            if message is not None:
                raise _not_ready(f"The workspace's environment could not be made. {message}")
            await asyncio.sleep(_LOOK_SECONDS)
        raise _not_ready("The workspace's environment is being made, which takes a while the first time.")


def _not_ready(message: str) -> Unavailable:
    return Unavailable("environment-not-ready", message, hint="Try again in a moment.", retry_after=5)
