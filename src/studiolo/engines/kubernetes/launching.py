"""Making what a launch needs in the cluster. Each step may have been done before: by us, or by a start that raced."""

import asyncio
from datetime import UTC, datetime

from studiolo.contract.errors import Conflict
from studiolo.engines.base import Exit
from studiolo.engines.kubernetes import claims, manifests, names, policies, quota
from studiolo.engines.kubernetes.api import ClusterAPI, Object, RefusedError
from studiolo.engines.kubernetes.endings import Endings, read_end
from studiolo.engines.kubernetes.manifests import Manifest, Plan, workspace_name

# A create that failed for another reason stays charged to the quota until the cluster counts again.
_QUOTA_PAUSES = (0.3, 1.0)
_NOT_ACCEPTED = (400, 422)


class Launching:
    """Makes Secret, claim, policy and pod of a launch."""

    def __init__(self, api: ClusterAPI, endings: Endings) -> None:
        self._api = api
        self._endings = endings

    async def launch(self, plan: Plan) -> Object | None:
        """Make all of a launch; returns its pod, None when the launch is over or the cluster will not have it.

        Why it will not is written as the launch's end. Raises RefusedError for what an administrator must mend, and
        Conflict (`engine-refused`) where another platform in the namespace has objects of these names.
        """
        # Made first: what the settings do not allow must not leave anything.
        pod = manifests.pod(plan)
        if not await self._take_number(plan):
            return None
        try:
            await asyncio.gather(self._ensure_claim(plan), self._ensure_policy(plan))
            return await self._create(pod, "pods") or await self._find("pods", pod)
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
        found = await self._find("secrets", secret)
        return found is not None and read_end(found) is None

    async def _ensure_claim(self, plan: Plan) -> None:
        spec = plan.spec
        made = claims.manifest(plan.claim, spec.folder, workspace_name(spec), plan.settings, plan.instance)
        await claims.ensure(self._api, plan.claim, made)

    async def _ensure_policy(self, plan: Plan) -> None:
        if not plan.settings.network.policies:
            return
        policy = policies.policy(plan.settings, plan.instance, plan.spec.workload_id)
        if await self._create(policy, "networkpolicies") is None and await self._find("networkpolicies", policy):
            # Settings may have changed since the session's last launch.
            path = self._api.path("networkpolicies", policy["metadata"]["name"])
            await self._api.patch(path, {"spec": policy["spec"]})

    async def _create(self, manifest: Manifest, resource: str) -> Object | None:
        """Make an object; returns None if there is one of its name."""
        for pause in (*_QUOTA_PAUSES, None):
            try:
                return await self._api.create(self._api.path(resource), manifest)
            except RefusedError as refused:
                if refused.is_duplicate:
                    return None
                if not refused.is_quota or pause is None:
                    raise
            await asyncio.sleep(pause)
        return None

    async def _find(self, resource: str, manifest: Manifest) -> Object | None:
        """Return an object of ours that is there, None if it is gone by now."""
        path = self._api.path(resource, manifest["metadata"]["name"])
        found = await self._api.find(path, metadata_only=resource == "secrets")
        if found and _platform(found) not in (_platform(manifest), None):
            raise Conflict(
                "engine-refused",
                f"Another platform in the cluster's namespace has this session's {resource}.",
                hint="An administrator gives each platform a namespace, or removes what a copy of this one has left.",
            )
        return found


def _platform(item: Object) -> str | None:
    """Return whose an object is; None if somebody took its labels."""
    found = (item["metadata"].get("labels") or {}).get(names.INSTANCE)
    return None if found is None else str(found)
