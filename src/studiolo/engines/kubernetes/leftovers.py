"""Objects of launches that are over: found by their labels, removed one by one (no right to remove many is needed)."""

import asyncio
from datetime import UTC, datetime

from studiolo.engines.base import Exit
from studiolo.engines.kubernetes import names, policies
from studiolo.engines.kubernetes.api import ClusterAPI, Object, RefusedError
from studiolo.engines.kubernetes.endings import Endings, read_end
from studiolo.engines.kubernetes.settings import KubernetesSettings

Key = tuple[str, int]


async def list_secrets(api: ClusterAPI, instance: str) -> dict[Key, Object]:
    """Return the Secrets of this platform's launches, without what they hold."""
    selector = f"{names.INSTANCE}={instance},{names.WORKLOAD}"
    found = await api.list(api.path("secrets"), metadata_only=True, labelSelector=selector)
    return {key: secret for secret in found if (key := _key(secret)) is not None}


async def clear(api: ClusterAPI, endings: Endings, secrets: dict[Key, Object], wanted: set[Key]) -> None:
    """Of launches that are not wanted and have no pod: keep the newest Secret of each session, without its request."""
    newest = dict(sorted(secrets))
    for key, secret in secrets.items():
        if key in wanted:
            continue
        if newest[key[0]] != key[1]:
            await api.delete(api.path("secrets", secret["metadata"]["name"]))
        elif read_end(secret) is None:
            await endings.write(key, Exit("vanished", "The session's pod is gone.", datetime.now(UTC)))


async def restore_policies(api: ClusterAPI, settings: KubernetesSettings, instance: str, running: set[str]) -> None:
    """Make the policies anew that somebody has removed while their sessions run."""
    if not settings.network.policies or not running:
        return
    selector = f"{names.INSTANCE}={instance},{names.WORKLOAD}"
    found = await api.list(api.path("networkpolicies"), metadata_only=True, labelSelector=selector)
    there = {item["metadata"]["name"] for item in found}
    for workload_id in sorted(running):
        if names.policy_name(workload_id) not in there:
            try:
                await api.create(api.path("networkpolicies"), policies.policy(settings, instance, workload_id))
            except RefusedError as refused:
                if not refused.is_duplicate:
                    raise


async def forget(api: ClusterAPI, instance: str, workload_id: str) -> None:
    """Remove pods, policy and Secrets of a session."""
    selector = f"{names.INSTANCE}={instance},{names.WORKLOAD}={workload_id}"
    for resource in ("pods", "networkpolicies", "secrets"):
        found = await api.list(api.path(resource), metadata_only=True, labelSelector=selector)
        paths = [api.path(resource, item["metadata"]["name"]) for item in found]
        await asyncio.gather(*(api.delete(path) for path in paths))


def _key(secret: Object) -> Key | None:
    labels = secret["metadata"].get("labels") or {}
    launch = labels.get(names.LAUNCH, "")
    return (labels[names.WORKLOAD], int(launch)) if launch.isdecimal() else None
