"""Files of workspaces in their claims: a short-lived pod mounts one and carries them (see `runtime.carrier`)."""

import asyncio
import json
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx

from studiolo.contract.errors import Unavailable
from studiolo.engines.base import Limits, Store, StoredPlace, WorkloadSpec
from studiolo.engines.carrying import CarriedStore, calls_by
from studiolo.engines.kubernetes import claims, manifests, names, places, policies
from studiolo.engines.kubernetes.api import ClusterAPI, Object, RefusedError
from studiolo.engines.kubernetes.manifests import Plan
from studiolo.engines.kubernetes.settings import KubernetesOptions, KubernetesSettings

_CARRIER = f"{names.DOMAIN}/carrier"
_OF_LAUNCHES = (names.WORKLOAD, names.LAUNCH)
_LOOK_SECONDS = 0.3
_GONE_SECONDS = 60.0
# Requests are limits: a namespace with a quota lets in only pods that say what they may use.
_LIMITS = Limits(cpu=0.5, memory=512 << 20)
_KINDS = ("pods", "networkpolicies", "secrets")


class ClaimStores:
    """Opens and removes what a cluster keeps of workspaces. Raises RefusedError beside what Stores does.

    The pod is no session's: it has no label of a launch, so that nobody counts, watches or sweeps it.
    """

    def __init__(self, api: ClusterAPI, settings: KubernetesSettings, instance: str) -> None:
        self._api = api
        self._settings = settings
        self._instance = instance

    @asynccontextmanager
    async def open(self, place: StoredPlace) -> AsyncGenerator[Store]:
        """See Stores.open_store."""
        await self._remove_carrier(place)
        known = await claims.find(self._api, self._instance, place.folder)
        claim = known or claims.plan(place.folder, place.name, self._settings, self._instance)
        made = claims.manifest(claim, place.folder, place.name, self._settings, self._instance)
        await claims.ensure(self._api, claim, made)
        secret = secrets.token_urlsafe(32)
        try:
            for resource, manifest in self._manifests(place, claim, secret).items():
                await self._api.create(self._api.path(resource), manifest)
            address = await self._await_start(place)
            async with httpx.AsyncClient(
                base_url=httpx.URL(scheme="http", host=address, port=self._settings.port),
                headers={"Authorization": f"Bearer {secret}"},
                verify=False,  # noqa: S501
                trust_env=False,
            ) as client:
                yield CarriedStore(calls_by(_exchange(client)))
        finally:
            # A cluster that is away now keeps a pod that ends by itself, and is removed with the next opening.
            with suppress(RefusedError, Unavailable):
                await asyncio.shield(self._remove_carrier(place))

    async def forget(self, place: StoredPlace) -> None:
        """See Stores.forget_store."""
        await self._remove_carrier(place)
        if (claim := await claims.find(self._api, self._instance, place.folder)) is not None:
            await self._api.delete(self._api.path("persistentvolumeclaims", claim.name))

    def _manifests(self, place: StoredPlace, claim: claims.Claim, secret: str) -> dict[str, Object]:
        """Return the carrier's objects by their kind: a session's pod that runs another program."""
        spec = WorkloadSpec(
            workload_id=_workload(place),
            launch=1,
            folder=place.folder,
            environment=Path(self._settings.environment),
            base_url="",
            secret="",
            person=place.person,
            labels={"workspace": place.name},
            limits=_LIMITS,
        )
        plan = Plan(spec, self._settings, KubernetesOptions(), self._instance, claim, 1.0)
        pod = manifests.pod(plan)
        labels = {name: text for name, text in pod["metadata"]["labels"].items() if name not in _OF_LAUNCHES}
        labels |= {_CARRIER: claims.workspace_key(place.folder)}
        pod["metadata"] |= {"labels": labels, "name": spec.workload_id}
        command = [self._settings.python, "-P", "-m", "studiolo.runtime.carrier", places.REQUEST]
        pod["spec"]["containers"][0]["command"] = command
        request = {"root": places.WORKSPACE, "host": "0.0.0.0", "port": self._settings.port, "secret": secret}  # noqa: S104
        held = manifests.secret(plan)
        held["metadata"] |= {"labels": labels}
        held["stringData"] = {name: json.dumps(request) for name in held["stringData"]}
        policy = policies.policy(self._settings, self._instance, spec.workload_id)
        policy["metadata"]["labels"] = labels
        policy["spec"] |= {"podSelector": {"matchLabels": {_CARRIER: labels[_CARRIER]}}, "egress": []}
        objects = {"secrets": held, "networkpolicies": policy, "pods": pod}
        return objects if self._settings.network.policies else {k: objects[k] for k in ("secrets", "pods")}

    async def _await_start(self, place: StoredPlace) -> str:
        """Return the address of the carrier once it listens. Raises Unavailable with what the cluster says."""
        said = "it has not been placed"
        for _ in range(round(self._settings.start_seconds / _LOOK_SECONDS)):
            pod = await self._api.find(self._api.path("pods", _workload(place))) or {}
            status = pod.get("status") or {}
            container: Object = next(iter(status.get("containerStatuses") or ()), {})
            if container.get("started") and status.get("podIP"):
                return str(status["podIP"])
            waiting = (container.get("state") or {}).get("waiting") or {}
            said = str(waiting.get("message") or waiting.get("reason") or status.get("phase") or said)
            if status.get("phase") in ("Failed", "Succeeded"):
                break
            await asyncio.sleep(_LOOK_SECONDS)
        raise _away(f"The pod that carries the workspace's files does not start: {said[:200].rstrip('.')}.")

    async def _remove_carrier(self, place: StoredPlace) -> None:
        """Remove what an opening made; returns once the pod is gone."""
        wanted = f"{names.INSTANCE}={self._instance},{_CARRIER}={claims.workspace_key(place.folder)}"
        for resource in _KINDS:
            for item in await self._api.list(self._api.path(resource), metadata_only=True, labelSelector=wanted):
                grace = 1 if resource == "pods" else None
                await self._api.delete(self._api.path(resource, item["metadata"]["name"]), grace_seconds=grace)
        for _ in range(round(_GONE_SECONDS / _LOOK_SECONDS)):
            if await self._api.find(self._api.path("pods", _workload(place)), metadata_only=True) is None:
                return
            await asyncio.sleep(_LOOK_SECONDS)
        raise _away("The pod that carried the workspace's files does not end.")


def _exchange(client: httpx.AsyncClient) -> Callable[[bytes, float], Awaitable[bytes]]:
    async def exchange(body: bytes, seconds: float) -> bytes:
        try:
            reply = await client.post("/call", content=body, timeout=seconds)
            return reply.raise_for_status().content
        except httpx.HTTPError as exc:
            raise _away("The pod that carries the workspace's files does not answer.", repr(exc)) from exc

    return exchange


def _away(said: str, detail: str | None = None) -> Unavailable:
    hint = "It is tried again by itself; an administrator can look at it in the cluster."
    return Unavailable("engine-unavailable", said, hint=hint, detail=detail)


def _workload(place: StoredPlace) -> str:
    return f"carrier-{claims.workspace_key(place.folder)}"
