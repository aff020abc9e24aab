"""What pods use, as the cluster's metrics server tells it, and what the namespace may use."""

import time
from datetime import UTC, datetime
from typing import Any

from studiolo.contract.errors import Unavailable
from studiolo.engines.base import Machine, Usage
from studiolo.engines.kubernetes import names, quota
from studiolo.engines.kubernetes.api import ClusterAPI, RefusedError
from studiolo.engines.kubernetes.records import Record
from studiolo.engines.kubernetes.settings import KubernetesSettings

# A metrics server measures every fifteen seconds.
_FRESH_SECONDS = 10.0
# Where there is none, it is looked for now and then.
_ABSENT_SECONDS = 300.0


class Measuring:
    """Asks for all pods at once, at most every ten seconds."""

    def __init__(self, api: ClusterAPI, settings: KubernetesSettings, instance: str) -> None:
        self._api = api
        self._path = f"/apis/metrics.k8s.io/v1beta1/namespaces/{settings.namespace}/pods"
        self._limits_processes = settings.limits_processes
        self._selector = f"{names.INSTANCE}={instance}"
        self._memory: dict[str, int] = {}
        self._good_until = 0.0

    async def measure(self, record: Record) -> Usage:
        """Return what a pod uses: its memory, where there is a metrics server. Processor time it does not tell."""
        if time.monotonic() >= self._good_until:
            await self._ask()
        memory = self._memory.get(record.name)
        return Usage(datetime.now(UTC), cpu_seconds=None, memory=memory, memory_peak=None, processes=None)

    async def describe(self) -> Machine:
        """Return what the namespace's quotas allow, and what is left of that.

        The cluster's own size takes rights that we do not ask for.
        """
        found: list[dict[str, Any]] = []
        try:
            found = await self._api.list(self._api.path("resourcequotas"))
        except RefusedError as refused:
            if refused.status != 403:
                raise refused.as_unavailable() from refused
        cpu = quota.least(found, "limits.cpu", "requests.cpu", "cpu")
        memory = quota.least(found, "limits.memory", "requests.memory", "memory")
        gpu = quota.least(found, "requests.nvidia.com/gpu")
        return Machine(
            cpu=cpu.total if cpu else None,
            memory=int(memory.total) if memory else None,
            gpu=int(gpu.total) if gpu else None,
            cpu_limits="engine",
            memory_limits="engine",
            process_limits="engine" if self._limits_processes else "none",
            cpu_taken=cpu.taken if cpu else 0,
            memory_taken=int(memory.taken) if memory else 0,
            gpu_taken=int(gpu.taken) if gpu else 0,
        )

    async def _ask(self) -> None:
        # Set first: who asks meanwhile gets what is known.
        self._good_until = time.monotonic() + _FRESH_SECONDS
        try:
            found = await self._api.list(self._path, labelSelector=self._selector)
            self._memory = {item["metadata"]["name"]: _memory(item) for item in found}
        except (RefusedError, Unavailable, AttributeError, KeyError, TypeError, ValueError):
            self._memory, self._good_until = {}, time.monotonic() + _ABSENT_SECONDS


def _memory(item: dict[str, Any]) -> int:
    used = [container.get("usage", {}).get("memory", "0") for container in item.get("containers", [])]
    return int(sum(map(names.amount, used)))
