"""The engine `jupyterhub`: each launch is a named server of its person's user at an existing Hub."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

from studiolo.contract.errors import Denied, InvalidInput, StudioloError, Unavailable
from studiolo.engines.base import (
    AskWanted,
    Exit,
    Front,
    Handle,
    Machine,
    Observation,
    Phase,
    Storage,
    Store,
    StoredPlace,
    Usage,
    WorkloadSpec,
)
from studiolo.engines.jupyterhub.api import HubAPI, HubRefusal, away
from studiolo.engines.jupyterhub.lookout import Lookout
from studiolo.engines.jupyterhub.names import Key, ServerNames, unknown_person, user_of
from studiolo.engines.jupyterhub.opening import TOKEN_SECONDS, Openings
from studiolo.engines.jupyterhub.servers import HubServer, StartNews, is_prefix, judge
from studiolo.engines.jupyterhub.settings import HubSettings
from studiolo.engines.jupyterhub.storing import HubStores

_FRESH_SECONDS = 1.0
# The Hub may hold its answer for 10 s; whoever launches sees what it tells of the start meanwhile.
_START_SECONDS = 1.0
_MACHINE = Machine(None, None, None, cpu_limits="none", memory_limits="none", process_limits="none")


class HubEngine:
    """Implements Engine, Watches, Fronts, Measures, Sweeps, Forgets, Stores and Closes. `instance`: the platform's.

    A launch's server is found by its name. The Hub keeps a server that ended under its name until its workload is
    launched again or forgotten: so that a launch number is used once.
    """

    name = "jupyterhub"
    storage: Storage = "own"
    runs_images = False

    def __init__(self, settings: HubSettings, *, instance: str) -> None:
        self.isolation: str = settings.isolation
        self._settings = settings
        self._api = HubAPI(settings)
        self._names = ServerNames(instance)
        self._lookout = Lookout(self._look_around, settings.poll_seconds)
        self._openings = Openings(self._open)
        self._news: dict[Key, StartNews] = {}
        self._ended: dict[Key, Exit] = {}
        self._asked_to_stop: set[Key] = set()
        self._starting: set[asyncio.Task[None]] = set()
        self._missing_scopes: list[str] | None = None
        self._stores = HubStores(self._api, settings, instance, self._start)

    async def start(self, spec: WorkloadSpec) -> Handle:
        """See Engine.start. Raises NotFound (`engine-person-unknown`), Denied or InvalidInput (`engine-refused`)."""
        user = user_of(spec.person, self._settings)
        server = self._names.of(spec.workload_id, spec.launch)
        try:
            await self._start(Key(user, server), dict(spec.options), spec.person)
        except HubRefusal as exc:
            raise _refusal(exc) from exc
        return {"workload_id": spec.workload_id, "launch": spec.launch, "user": user, "server": server}

    async def observe(self, handle: Handle) -> Observation:
        """See Engine.observe. What runs is in the look that all sessions share; what ended is asked for once."""
        key = _key(handle)
        if key in self._ended:
            return Observation(Phase.ENDED, exit=self._ended[key])
        try:
            server = await self._find(key)
            if server is not None and not server.is_active and key not in self._news:
                await self._hear_of_failure(key)
        except Unavailable as exc:
            return Observation(Phase.UNKNOWN, message=exc.message)
        seen = judge(
            server,
            self._news.get(key),
            asked_to_stop=key in self._asked_to_stop,
            upstream=self._settings.upstream,
        )
        if seen.exit is not None and server is not None:
            self._ended[key] = seen.exit
            self._openings.forget(key)
        return seen

    async def stop(self, handle: Handle, *, grace: timedelta) -> None:
        """See Engine.stop. How long a server may take to end is the Hub's to say."""
        key = _key(handle)
        self._asked_to_stop.add(key)
        await self._stop(key)

    async def watch(self, handle: Handle) -> AsyncIterator[None]:
        """See Watches.watch. A start is followed by the Hub's own stream, the rest by the look that all share."""
        key = _key(handle)
        with contextlib.suppress(Unavailable, HubRefusal):
            # After a restart of the platform most are ready: that is in the look, without a request for each.
            look = await self._lookout.look(within_seconds=_FRESH_SECONDS)
            if key not in look or not look[key].ready:
                async for news in self._api.progress(key):
                    self._news[key] = news
                    yield
        async for _ in self._lookout.watch(key):
            yield

    async def front(self, handle: Handle) -> Front:
        """See Fronts.front."""
        return await self._openings.of(_key(handle))

    async def measure(self, handle: Handle) -> Usage | None:
        """See Measures.measure: the Hub tells whether a server runs, not what it uses."""
        if (await self.observe(handle)).phase is not Phase.READY:
            return None
        return Usage(datetime.now(UTC), cpu_seconds=None, memory=None, memory_peak=None, processes=None)

    async def describe(self) -> Machine:
        """See Measures.describe. Raises Unavailable also when the token lacks scopes; the message names them."""
        await self._lookout.look(within_seconds=self._settings.poll_seconds)
        if self._missing_scopes is None or self._missing_scopes:
            try:
                self._missing_scopes = await self._api.find_missing_scopes()
            except HubRefusal as exc:
                raise _unavailable(exc) from exc
        if self._missing_scopes:
            raise Unavailable(
                "engine-unavailable",
                f"The JupyterHub's token lacks scopes: {', '.join(self._missing_scopes)}.",
                hint="The Hub's administrator gives them to the service's role (load_roles).",
            )
        return _MACHINE

    async def sweep(self, ask_wanted: AskWanted) -> list[str]:
        """See Sweeps.sweep. Names are `<user>/<server>`; what others run at the Hub is not looked at."""
        try:
            servers = await self._lookout.look(within_seconds=0)
        except Unavailable:
            return []
        ours = {key: launch for key in servers if (launch := self._names.read(key.server))}
        wanted = await ask_wanted() if ours else set()
        unwanted = [key for key, launch in ours.items() if launch not in wanted]
        for key in unwanted:
            self._asked_to_stop.add(key)
            await self._stop(key)
        return [f"{key.user}/{key.server}" for key in unwanted]

    async def forget(self, workload_id: str) -> None:
        """See Forgets.forget. The Hub forgets the servers' names; files there are its user's and stay."""
        for key in [key for key in self._ended if self._is_of(key, workload_id)]:
            await self._remove(key)

    @contextlib.asynccontextmanager
    async def open_store(self, place: StoredPlace) -> AsyncGenerator[Store]:
        """See Stores.open_store."""
        try:
            async with self._stores.open(place) as store:
                yield store
        except HubRefusal as exc:
            raise _refusal(exc) from exc

    async def forget_store(self, place: StoredPlace) -> None:
        """See Stores.forget_store."""
        try:
            await self._stores.forget(place)
        except HubRefusal as exc:
            raise _refusal(exc) from exc

    async def aclose(self) -> None:
        """Let go of all connections; servers run on."""
        for task in self._starting:
            task.cancel()
        await asyncio.gather(*self._starting, return_exceptions=True)
        await self._lookout.aclose()
        await self._api.aclose()

    async def _start(self, key: Key, options: dict[str, Any], person: str) -> None:
        servers = await self._api.find_servers(key.user)
        if servers is None:
            if not self._settings.create_users:
                raise unknown_person(person)
            await self._api.create_user(key.user)
            servers = await self._api.find_servers(key.user) or {}
        if key in servers:
            return
        for old, server in servers.items():
            if self._is_of_same(old, key) and not server.is_active:
                await self._remove(old)
        await self._begin(key, options)

    async def _begin(self, key: Key, options: dict[str, Any]) -> None:
        beginning = asyncio.create_task(self._api.start(key, options))
        self._starting.add(beginning)
        beginning.add_done_callback(self._began)
        await asyncio.wait({beginning}, timeout=_START_SECONDS)
        if not beginning.done() and await self._is_there(key):
            return
        try:
            await asyncio.shield(beginning)
        except HubRefusal as exc:
            # The Hub fails the request when the start fails, or another's start came first: what it has is observed.
            if exc.status == HTTPStatus.BAD_REQUEST and not await self._is_there(key):
                await self._api.stop(key, remove=True)
                raise
            if exc.status != HTTPStatus.BAD_REQUEST and key not in (await self._api.find_servers(key.user) or {}):
                raise

    async def _is_there(self, key: Key) -> bool:
        server = (await self._api.find_servers(key.user) or {}).get(key)
        return server is not None and server.is_active

    def _began(self, done: asyncio.Task[None]) -> None:
        self._starting.discard(done)
        if not done.cancelled():
            # Nobody may be left to hear of a failure: the Hub tells it again.
            done.exception()

    async def _find(self, key: Key) -> HubServer | None:
        server = (await self._lookout.look(within_seconds=_FRESH_SECONDS)).get(key)
        if server is not None:
            return server
        try:
            return (await self._api.find_servers(key.user) or {}).get(key)
        except HubRefusal as exc:
            raise _unavailable(exc) from exc

    async def _hear_of_failure(self, key: Key) -> None:
        """Ask how a start ended that nobody followed; the Hub knows it until it restarts."""
        with contextlib.suppress(HubRefusal):
            async for news in self._api.progress(key):
                self._news[key] = news

    async def _stop(self, key: Key) -> None:
        try:
            await self._api.stop(key)
        except HubRefusal as exc:
            raise _unavailable(exc) from exc

    async def _remove(self, key: Key) -> None:
        try:
            await self._api.stop(key, remove=True)
        except HubRefusal as exc:
            raise _unavailable(exc) from exc
        self._ended.pop(key, None)
        self._news.pop(key, None)
        self._asked_to_stop.discard(key)
        self._openings.forget(key)

    async def _look_around(self) -> dict[Key, HubServer]:
        try:
            return await self._api.list_active()
        except HubRefusal as exc:
            raise _unavailable(exc) from exc

    async def _open(self, key: Key) -> Front:
        server = await self._find(key)
        if server is None:
            raise away(LookupError(key.server))
        if not is_prefix(server.url):
            raise Unavailable(
                "engine-unavailable",
                "The JupyterHub has a domain for each of its users, which the front door does not lead to.",
                hint="Sessions need a Hub without JupyterHub.subdomain_host.",
            )
        try:
            token = await self._api.mint_token(key, seconds=TOKEN_SECONDS)
        except HubRefusal as exc:
            raise _unavailable(exc) from exc
        return Front(server.url, {"Authorization": f"token {token}"})

    def _is_of(self, key: Key, workload_id: str) -> bool:
        launch = self._names.read(key.server)
        return launch is not None and launch[0] == workload_id

    def _is_of_same(self, key: Key, other: Key) -> bool:
        launch = self._names.read(other.server)
        return launch is not None and self._is_of(key, launch[0])


def _key(handle: Handle) -> Key:
    return Key(handle["user"], handle["server"])


def _refusal(refusal: HubRefusal) -> StudioloError:
    """Return the error for a start that the Hub refused."""
    said = f": {refusal.message}" if refusal.message else f" ({refusal.status})"
    match refusal.status:
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
            return Denied(
                "engine-refused",
                f"The JupyterHub does not let Studiolo start servers{said}.",
                hint="An administrator gives the service's role at the Hub the scopes that the documentation lists.",
            )
        case status if status < HTTPStatus.INTERNAL_SERVER_ERROR and status != HTTPStatus.TOO_MANY_REQUESTS:
            return InvalidInput(
                "engine-refused",
                f"The JupyterHub does not start this server{said}.",
                hint="Its options come from the profile (engines.jupyterhub there); choose another, or ask an "
                "administrator.",
            )
    return _unavailable(refusal)


def _unavailable(refusal: HubRefusal) -> Unavailable:
    """Return the error for an answer that only the Hub's or the platform's operator can change."""
    said = f": {refusal.message}" if refusal.message else ""
    return Unavailable(
        "engine-unavailable",
        f"The JupyterHub refuses to answer ({refusal.status}{said}).",
        hint="See that engines.jupyterhub has the token of a service of this Hub, with the scopes it needs.",
    )
