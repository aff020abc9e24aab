"""Objects of launches that are over: found by their labels, removed one by one (no right to remove many is needed)."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime

from studiolo.engines.base import Exit
from studiolo.engines.kubernetes import names
from studiolo.engines.kubernetes.api import ClusterAPI, Object
from studiolo.engines.kubernetes.endings import Endings, read_end
from studiolo.engines.kubernetes.records import Record, read

Key = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Found:
    """What there was of this platform: its pods, and the Secrets of launches without what they hold."""

    pods: list[Record]
    secrets: dict[Key, Object]


async def list_all(api: ClusterAPI, instance: str) -> Found:
    """Return all pods and Secrets of this platform, as they are now."""
    selector = f"{names.INSTANCE}={instance},{names.WORKLOAD}"
    secrets = await api.list(api.path("secrets"), metadata_only=True, labelSelector=selector)
    pods = await api.list(api.path("pods"), labelSelector=selector)
    records = [record for pod in pods if (record := read(pod)) is not None]
    return Found(records, {_key(secret): secret for secret in secrets})


async def clear(api: ClusterAPI, endings: Endings, found: Found, wanted: set[Key]) -> None:
    """Of launches that are not wanted and have no pod: keep the newest Secret of each session, without its request."""
    running = {record.key for record in found.pods}
    newest = dict(sorted(found.secrets))
    for key, secret in found.secrets.items():
        if key in wanted or key in running:
            continue
        if newest[key[0]] != key[1]:
            await api.delete(api.path("secrets", secret["metadata"]["name"]))
        elif read_end(secret) is None:
            await endings.write(key, Exit("vanished", "The session's pod is gone.", datetime.now(UTC)))


async def forget(api: ClusterAPI, instance: str, workload_id: str) -> None:
    """Remove pods, policy and Secrets of a session."""
    selector = f"{names.INSTANCE}={instance},{names.WORKLOAD}={workload_id}"
    for resource in ("pods", "networkpolicies", "secrets"):
        found = await api.list(api.path(resource), metadata_only=True, labelSelector=selector)
        paths = [api.path(resource, item["metadata"]["name"]) for item in found]
        await asyncio.gather(*(api.delete(path) for path in paths))


def _key(secret: Object) -> Key:
    labels = secret["metadata"]["labels"]
    return labels[names.WORKLOAD], int(labels[names.LAUNCH])
