"""What each handler of the API gets: the request, who asks, and the parts of the host."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from re import Pattern
from typing import Any, NamedTuple

from aiohttp import web

from studiolo.gateway.base import Caller, Elsewhere, Right, Wish
from studiolo.gateway.documents import Documents
from studiolo.gateway.hosted import Hosted
from studiolo.gateway.named_locks import NamedLocks
from studiolo.gateway.offers.own_specs import OwnSpecs
from studiolo.gateway.registry import Registry
from studiolo.gateway.settings import HostSettings


@dataclass(slots=True)
class Services:
    """The parts of one host that answer requests. `only`: the one kernel that a bridge is there for."""

    registry: Registry
    documents: Documents
    authority: OwnSpecs
    settings: HostSettings
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    document_locks: NamedLocks = field(default_factory=NamedLocks)
    only: Hosted | None = None

    async def start(self, caller: Caller, wish: Wish) -> Hosted:
        """Start a kernel here, or return a bridge's one, whatever was asked for. Raises as `Registry.start`."""
        return await self.registry.start(caller, wish) if self.only is None else self.only

    async def start_anywhere(self, caller: Caller, wish: Wish) -> Hosted | Elsewhere:
        """As `start`, but where the authority wants it."""
        return await self.registry.start_anywhere(caller, wish) if self.only is None else self.only


@dataclass(frozen=True, slots=True)
class Ask:
    """One request that was let in. `names`: what stands at the named places of the route's pattern."""

    request: web.Request
    caller: Caller
    services: Services
    names: Mapping[str, str]

    @property
    def registry(self) -> Registry:
        """The host's kernels."""
        return self.services.registry

    @property
    def scope(self) -> str:
        """The scope that the request is about."""
        return self.caller.scope


Handler = Callable[[Ask], Awaitable[web.StreamResponse]]


class Route(NamedTuple):
    """One address below a scope's prefix, what it does, and what a caller must be allowed to."""

    method: str
    pattern: Pattern[str]
    handler: Handler
    right: Right


def created(model: Mapping[str, Any], location: str) -> web.Response:
    """Return the reply for something new, 201 with its address."""
    return web.json_response(model, status=201, headers={"Location": location})


def nothing() -> web.Response:
    """Return the reply without content, 204."""
    return web.Response(status=204)
