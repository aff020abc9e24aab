"""Which GPUs of the machine are whose: the containers' labels tell, and what is about to become one."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from studiolo.contract.errors import InvalidInput
from studiolo.engines.base import Limits
from studiolo.engines.container.configuration import GPUS


class Gpus:
    """The devices of each type, by their CDI names."""

    def __init__(self, devices: Mapping[str, Sequence[str]]) -> None:
        self._devices = devices
        # By launch: what was handed out for a container that may not be there yet.
        self._leased: dict[str, tuple[str, ...]] = {}

    @property
    def count(self) -> int:
        """How many there are."""
        return len({name for names in self._devices.values() for name in names})

    def check(self, limits: Limits) -> None:
        """Raise InvalidInput (`gpu-type-unknown`) for a type that is not there."""
        if limits.gpu and limits.gpu_type is not None and limits.gpu_type not in self._devices:
            known = ", ".join(sorted(self._devices)) or "none"
            raise InvalidInput(
                "gpu-type-unknown",
                f"Containers here have no GPUs of the type {limits.gpu_type}.",
                hint=f"Types there are: {known}.",
            )

    def lease(self, limits: Limits, holder: str, containers: Iterable[Mapping[str, Any]]) -> list[str] | None:
        """Return devices for `holder` that none of `containers`, as listed, has; None when too few are free."""
        types = [limits.gpu_type] if limits.gpu_type is not None else sorted(self._devices)
        taken = {name for one in containers for name in (one.get("Labels") or {}).get(GPUS, "").split(",")}
        taken |= {name for other, names in self._leased.items() if other != holder for name in names}
        free = [name for kind in types for name in self._devices[kind] if name not in taken]
        chosen = list(dict.fromkeys(free))[: limits.gpu]
        if len(chosen) < limits.gpu:
            return None
        if chosen:
            self._leased[holder] = tuple(chosen)
        return chosen

    def free(self, holder: str) -> None:
        """Give back what `holder` had; its container is gone."""
        self._leased.pop(holder, None)
