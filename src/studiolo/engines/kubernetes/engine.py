"""The Kubernetes engine: each launch a pod, all of them known from one watch."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Literal

from studiolo.contract.errors import Unavailable
from studiolo.engines.base import (
    AskWanted,
    Exit,
    Handle,
    Machine,
    Observation,
    Phase,
    Storage,
    Store,
    StoredPlace,
    Usage,
    WorkloadSpec,
)
from studiolo.engines.kubernetes import claims, leftovers, logs, names
from studiolo.engines.kubernetes.api import ClusterAPI, Object, RefusedError
from studiolo.engines.kubernetes.endings import Endings
from studiolo.engines.kubernetes.explaining import explain
from studiolo.engines.kubernetes.launching import Launching
from studiolo.engines.kubernetes.manifests import Plan, workspace_name
from studiolo.engines.kubernetes.measuring import Measuring
from studiolo.engines.kubernetes.news import News
from studiolo.engines.kubernetes.pods import Pods
from studiolo.engines.kubernetes.records import Record, secrets_of
from studiolo.engines.kubernetes.settings import KubernetesOptions, KubernetesSettings
from studiolo.engines.kubernetes.storing import ClaimStores
from studiolo.engines.plugins import EngineGround, read_options

Key = tuple[str, int]
_ANSWER_SECONDS = 8.0


class KubernetesEngine:
    """Runs each workload as a pod. Implements Engine and all capabilities but Fronts.

    The handle names the launch and its pod. What outlives a pod is written on the launch's Secret.
    """

    name = "kubernetes"
    storage: Storage = "own"
    runs_images = True
    attaches: Literal["path", "claim"] = "claim"
    hosts_kernels = True

    def __init__(self, ground: EngineGround, settings: KubernetesSettings) -> None:
        self._settings = settings
        # What a cluster gives depends on its network plug-in and nodes: claimed is what was measured there.
        self.isolation: str = settings.isolation
        self._instance = names.label(settings.platform or ground.instance)
        self._stop_grace = ground.stop_grace
        self._api = ClusterAPI(settings)
        self._pods = Pods(self._api, self._instance)
        self._news = News(self._api, self._pods)
        self._endings = Endings(self._api)
        self._launching = Launching(self._api, self._endings)
        self._measuring = Measuring(self._api, settings, self._instance)
        self._stores = ClaimStores(self._api, settings, self._instance)

    async def start(self, spec: WorkloadSpec) -> Handle:
        """See Engine.start. Raises InvalidInput for a GPU, an image or an option that the settings do not know."""
        found = self._pods.find((spec.workload_id, spec.launch))
        if found is not None:
            return found.handle
        async with _refusals_as_unavailable():
            pod = await self._launching.launch(await self._plan(spec))
        record = self._pods.take(pod) if pod else None
        if record is not None:
            return record.handle
        name = names.pod_name(spec.person, spec.workload_id, spec.launch)
        return {"workload_id": spec.workload_id, "launch": spec.launch, "pod": name}

    async def observe(self, handle: Handle) -> Observation:
        """See Engine.observe. Answers from what the watch has told; the API is asked once about a pod that is gone."""
        try:
            async with _refusals_as_unavailable():
                return await self._observe(_key(handle), handle["pod"])
        except Unavailable as exc:
            return Observation(Phase.UNKNOWN, message=exc.message)

    async def stop(self, handle: Handle, *, grace: timedelta) -> None:
        """See Engine.stop."""
        stopped = Exit("stopped", "The session was stopped.", datetime.now(UTC))
        async with _refusals_as_unavailable():
            if not self._has_ended(_key(handle)):
                await self._remove(_key(handle), handle["pod"], stopped, grace)

    async def watch(self, handle: Handle) -> AsyncGenerator[None]:
        """See Watches.watch."""
        self._begin()
        async with aclosing(self._pods.watch(_key(handle))) as changes:
            async for _ in changes:
                seen = await self.observe(handle)
                yield
                if seen.phase is Phase.ENDED:
                    return

    async def tail(self, handle: Handle, *, lines: int) -> list[str]:
        """See Logs.tail. There is none of a pod that is gone."""
        async with _refusals_as_unavailable():
            return await logs.tail(self._api, handle["pod"], lines)

    async def follow(self, handle: Handle, *, lines: int) -> AsyncIterator[str]:
        """See Logs.follow."""
        async with aclosing(self._pods.watch(_key(handle))) as changes:
            async for _ in changes:
                if (await self.observe(handle)).phase in (Phase.READY, Phase.ENDED):
                    break
        async with _refusals_as_unavailable():
            async for line in logs.follow(self._api, handle["pod"], lines):
                yield line

    async def measure(self, handle: Handle) -> Usage | None:
        """See Measures.measure."""
        await self._know()
        record = self._pods.find(_key(handle))
        if record is None or record.phase != "Running" or record.deleting_at is not None:
            return None
        return await self._measuring.measure(record)

    async def describe(self) -> Machine:
        """See Measures.describe."""
        return await self._measuring.describe()

    async def sweep(self, ask_wanted: AskWanted) -> list[str]:
        """See Sweeps.sweep. Names are those of pods. Also makes anew the policies of sessions that somebody removed."""
        async with _refusals_as_unavailable():
            await self._know()
            pods = self._pods.list_all()
            secrets = await leftovers.list_secrets(self._api, self._instance)
            wanted = await ask_wanted()
            swept = [pod.name for pod in pods if pod.key not in wanted and await self._sweep(pod)]
            of_no_pod = {key: secret for key, secret in secrets.items() if self._pods.find(key) is None}
            await leftovers.clear(self._api, self._endings, of_no_pod, wanted)
            running = {pod.workload_id for pod in pods if pod.key in wanted and not pod.has_ended}
            await leftovers.restore_policies(self._api, self._settings, self._instance, running)
        return swept

    async def forget(self, workload_id: str) -> None:
        """See Forgets.forget. The workspace's claim stays."""
        async with _refusals_as_unavailable():
            await leftovers.forget(self._api, self._instance, workload_id)
        self._endings.forget(workload_id)
        self._pods.forget(workload_id)

    @asynccontextmanager
    async def open_store(self, place: StoredPlace) -> AsyncGenerator[Store]:
        """See Stores.open_store."""
        async with _refusals_as_unavailable(), self._stores.open(place) as store:
            yield store

    async def forget_store(self, place: StoredPlace) -> None:
        """See Stores.forget_store."""
        async with _refusals_as_unavailable():
            await self._stores.forget(place)

    async def aclose(self) -> None:
        """See Closes.aclose."""
        await asyncio.gather(self._pods.follower.aclose(), self._news.follower.aclose())
        await self._api.aclose()

    async def _plan(self, spec: WorkloadSpec) -> Plan:
        options = read_options("kubernetes", KubernetesOptions, spec.options)
        claim = await claims.find(self._api, self._instance, spec.folder) or claims.plan(
            spec.folder,
            workspace_name(spec),
            self._settings,
            self._instance,
            options=options,
            is_shared=spec.labels.get("people", "1") != "1",
        )
        return Plan(spec, self._settings, options, self._instance, claim, self._stop_grace)

    async def _observe(self, key: Key, name: str) -> Observation:
        await self._know()
        for _ in range(2):
            record = self._pods.find(key)
            seen = self._explain(record) if record else None
            if record and seen:
                if seen.phase is Phase.READY:
                    self._news.drop(record)
                return await self._with_making(record, seen)
            if ended := await self._endings.find(key):
                return Observation(Phase.ENDED, exit=ended)
            # Nobody wrote an end: the pod is newer than what the watch has told, or was removed behind our back.
            pod = None if record else await self._api.find(self._api.path("pods", name))
            if pod is None:
                await self._endings.write(key, self._pods.removed.get(key) or _cancelled())
            elif self._pods.take(pod) is None:
                await self._label_anew(key, name, pod)
        return Observation(Phase.UNKNOWN, message="The cluster does not show the session's pod as it was made.")

    def _explain(self, record: Record) -> Observation | None:
        return explain(record, self._news.of(record), self._settings, now=self._api.now())

    async def _with_making(self, record: Record, seen: Observation) -> Observation:
        """Say what a pod tells in its log of the environment that it makes, which takes no start's time."""
        if seen.phase is not Phase.STARTING or not record.makes_environment or record.deleting_at is not None:
            return seen
        # A cluster that shows no logs shows no progress.
        with suppress(RefusedError, Unavailable):
            if making := await logs.find_making(self._api, record.name):
                return replace(seen, phase=Phase.PENDING, message=making)
        return seen

    async def _label_anew(self, key: Key, name: str, pod: Object) -> None:
        """Give a pod its labels back that somebody has taken from it: its policy holds by them too."""
        if names.secret_name(*key) in secrets_of(pod):
            labels = names.of_launch(self._instance, *key)
            self._pods.take(await self._api.patch(self._api.path("pods", name), {"metadata": {"labels": labels}}))

    async def _sweep(self, pod: Record) -> bool:
        """End a pod that nobody wants; returns whether it ran."""
        if pod.deleting_at is not None:
            return False
        seen = self._explain(pod)
        stopped = Exit("stopped", "The session was not wanted any more and was stopped.", datetime.now(UTC))
        ended = seen.exit if seen and seen.exit else stopped
        await self._remove(pod.key, pod.name, ended, timedelta(seconds=self._stop_grace))
        return not pod.has_ended

    async def _remove(self, key: Key, name: str, ended: Exit, grace: timedelta) -> None:
        # Written before: a pod that is gone without a word was removed by somebody else.
        await self._endings.write(key, ended)
        await self._api.delete(self._api.path("pods", name), grace_seconds=max(1, round(grace.total_seconds())))

    def _has_ended(self, key: Key) -> bool:
        record = self._pods.find(key)
        return record is not None and record.has_ended and record.deleting_at is None

    def _begin(self) -> None:
        self._pods.follower.begin()
        self._news.follower.begin()

    async def _know(self) -> None:
        """Wait until the watch has told what there is. Raises Unavailable while it cannot tell."""
        self._begin()
        if not await self._pods.follower.wait_for_answer(seconds=_ANSWER_SECONDS):
            raise Unavailable("engine-unavailable", "The Kubernetes cluster has not answered yet.", hint=_AGAIN)
        if self._pods.follower.problem is not None:
            raise self._pods.follower.problem


_AGAIN = "Running sessions go on; try again in a few seconds."


@asynccontextmanager
async def _refusals_as_unavailable() -> AsyncGenerator[None]:
    try:
        yield
    except RefusedError as refused:
        raise refused.as_unavailable() from refused


def _key(handle: Handle) -> Key:
    return handle["workload_id"], handle["launch"]


def _cancelled() -> Exit:
    message = "The session's pod was removed from the cluster by somebody else. What was not saved is lost."
    return Exit("cancelled", message, datetime.now(UTC))
