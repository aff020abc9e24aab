"""Making what a launch needs in the cluster. Each step may have been done before: by us, or by a start that raced."""

import asyncio
from datetime import UTC, datetime

from studiolo.engines.base import Exit
from studiolo.engines.kubernetes import manifests, names, quota
from studiolo.engines.kubernetes.api import ClusterAPI, Object, RefusedError
from studiolo.engines.kubernetes.endings import Endings, read_end
from studiolo.engines.kubernetes.manifests import Manifest, Plan

# A create that failed for another reason stays charged to the quota until the cluster counts again.
_QUOTA_PAUSES = (0.3, 1.0)
_CONFLICT = 409
_NOT_ACCEPTED = (400, 422)


class Launching:
    """Makes Secret, claim, policy and pod of a launch."""

    def __init__(self, api: ClusterAPI, endings: Endings) -> None:
        self._api = api
        self._endings = endings

    async def find_claim(self, instance: str, key: str) -> str | None:
        """Return the name of the claim that a workspace has, whatever it was called when that was made."""
        wanted = f"{names.INSTANCE}={instance},{names.WORKSPACE}={key}"
        found = await self._api.list(self._api.path("persistentvolumeclaims"), metadata_only=True, labelSelector=wanted)
        items = sorted(item["metadata"]["name"] for item in found)
        return items[0] if items else None

    async def launch(self, plan: Plan) -> Object | None:
        """Make all of a launch; returns its pod, None when the launch is over or the cluster will not have it.

        Why it will not is written as the launch's end. Raises RefusedError for what an administrator must mend.
        """
        # Made first: what the settings do not allow must not leave anything.
        pod = manifests.pod(plan)
        if not await self._take_number(plan):
            return None
        try:
            await asyncio.gather(self._ensure_claim(plan), self._ensure_policy(plan))
            return await self._create(pod, "pods") or await self._find_pod(pod)
        except RefusedError as refused:
            if refused.is_quota:
                ended = Exit("no-capacity", quota.explain(refused.message), datetime.now(UTC))
            elif refused.status in _NOT_ACCEPTED:
                message = f"The cluster does not accept the session: {refused.message.rstrip('.')}."
                ended = Exit("never-ready", message, datetime.now(UTC))
            else:
                raise
        await self._endings.write((plan.spec.workload_id, plan.spec.launch), ended)
        return None

    async def _take_number(self, plan: Plan) -> bool:
        """Make the launch's Secret; returns False for a launch that is over."""
        secret = manifests.secret(plan)
        if await self._create(secret, "secrets"):
            return True
        found = await self._api.find(self._api.path("secrets", secret["metadata"]["name"]), metadata_only=True)
        return found is not None and read_end(found) is None

    async def _ensure_claim(self, plan: Plan) -> None:
        if await self.find_claim(plan.instance, manifests.workspace_key(plan.spec)) is None:
            await self._create(manifests.claim(plan), "persistentvolumeclaims")

    async def _ensure_policy(self, plan: Plan) -> None:
        if not plan.settings.network.policies:
            return
        policy = manifests.policy(plan)
        if await self._create(policy, "networkpolicies") is None:
            # Settings may have changed since the session's last launch.
            path = self._api.path("networkpolicies", policy["metadata"]["name"])
            await self._api.patch(path, {"spec": policy["spec"]})

    async def _create(self, manifest: Manifest, resource: str) -> Object | None:
        """Make an object; returns None if there is one of its name."""
        for pause in (*_QUOTA_PAUSES, None):
            try:
                return await self._api.create(self._api.path(resource), manifest)
            except RefusedError as refused:
                if refused.status == _CONFLICT and refused.reason == "AlreadyExists":
                    return None
                if not refused.is_quota or pause is None:
                    raise
            await asyncio.sleep(pause)
        return None

    async def _find_pod(self, pod: Manifest) -> Object | None:
        return await self._api.find(self._api.path("pods", pod["metadata"]["name"]))
