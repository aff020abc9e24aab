"""What the index host asks and tells the control plane: `POST /_index/…` with the secret that both know."""

from collections.abc import Awaitable, Callable
from typing import Any

from studiolo.contract.errors import NotFound
from studiolo.packages.policy.effective import Policy
from studiolo.server.http.beside import Questions
from studiolo.server.http.edge import MAX_BODY_BYTES
from studiolo.server.packages.host import IndexHost
from studiolo.server.packages.ledger import Ledger

PREFIX = "/_index/"


class IndexQuestions(Questions):
    """What a policy says, and what was delivered and refused."""

    prefix, asker = PREFIX, "package index"
    most_bytes = 4 * MAX_BODY_BYTES

    def __init__(self, host: IndexHost, policy_of_hash: Callable[[str], Awaitable[Policy]], ledger: Ledger) -> None:
        super().__init__(host)
        self._policy_of_hash = policy_of_hash
        self._ledger = ledger

    async def _answer(self, what: str, body: dict[str, Any]) -> dict[str, Any] | None:
        kind, _, rest = what.partition("/")
        match kind:
            case "policies":
                return {"policy": (await self._policy_of_hash(rest)).to_json()}
            case "deliveries":
                await self._ledger.write(body["entries"])
                return None
        raise NotFound("route-not-found", "There is nothing at this address.")
