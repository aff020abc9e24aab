"""Policies by their hash: asked for once each, since what a hash names never changes."""

from collections import OrderedDict

from studiolo.contract.errors import Unavailable
from studiolo.packages.index.control import ControlPlane
from studiolo.packages.index.sharing import Shared
from studiolo.packages.policy.effective import Policy

_MOST = 500


class Policies:
    """The policies that callers of late had."""

    def __init__(self, control: ControlPlane) -> None:
        self._control = control
        self._kept: OrderedDict[str, Policy] = OrderedDict()
        self._asking: Shared[str, Policy] = Shared()

    async def get(self, named: str) -> Policy:
        """Return the policy of that hash. Raises Unavailable (`control-plane-unreachable`) and what is answered."""
        found = self._kept.get(named)
        if found is not None:
            self._kept.move_to_end(named)
            return found
        return await self._asking.run(named, lambda: self._ask(named))

    async def _ask(self, named: str) -> Policy:
        answer = await self._control.ask(f"policies/{named}", {})
        try:
            found = Policy.from_json(answer["policy"])
        except (KeyError, TypeError, ValueError) as exc:
            raise Unavailable(
                "control-plane-unreachable", "The workspace's policy cannot be read.", detail=repr(exc)[:300]
            ) from exc
        self._kept[named] = found
        while len(self._kept) > _MOST:
            self._kept.popitem(last=False)
        return found
