"""The API server: `FakeCluster` on a loopback port, and a kubeconfig that leads there."""

import asyncio
import base64
import itertools
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.utils import formatdate
from pathlib import Path
from typing import Any

from aiohttp import web

from studiolo.testing.kubernetes.answers import fits, merge, view
from studiolo.testing.kubernetes.pods import Pod, Runner, now, run_at_once
from studiolo.testing.kubernetes.rules import KINDS, RefusalError, charge, check, check_quota, check_security
from studiolo.testing.kubernetes.store import Object, Store

_VERBS = {"GET": "get", "POST": "create", "PATCH": "patch", "DELETE": "delete"}
_FOLDER = "/api/v1/namespaces/{namespace}/{resource}"
_POLICIES = "/apis/networking.k8s.io/v1/namespaces/{namespace}/{resource}"


class FakeCluster:
    """One namespace of a cluster. `runner` runs the pods that are made from now on; `calls` is all that was asked.

    `forbidden`: pairs of verb and resource that the account may not; `lies`: what is answered to such a pair instead of
    the truth; `is_away`: connections are dropped; `busy`: how many requests to come are throttled, each with
    `retry_after` seconds; `ahead`: how many seconds its clock is; `token`: what callers sign in with; `logs`: what each
    pod printed.
    """

    def __init__(self, *, namespace: str = "studiolo", runner: Runner = run_at_once) -> None:
        self.namespace = namespace
        self.runner = runner
        self.store = Store()
        self.calls: list[tuple[str, str]] = []
        self.forbidden: set[tuple[str, str]] = set()
        self.lies: dict[tuple[str, str], str] = {}
        self.is_away = False
        self.busy = 0
        self.retry_after = 1
        self.ahead = 0.0
        self.token = "token-of-the-tests"  # noqa: S105
        self.bookmark_seconds = 60.0
        self.logs: dict[str, list[str]] = {}
        self.url = ""
        self._pods: dict[str, Pod] = {}
        self._lives: dict[str, asyncio.Task[None]] = {}
        self._numbers = itertools.count(1)

    def kubeconfig(self, folder: Path) -> Path:
        """Write a kubeconfig into `folder`; returns its path."""
        cluster = {"name": "fake", "cluster": {"server": self.url}}
        user = {"name": "tests", "user": {"token": self.token}}
        context = {"name": "fake", "context": {"cluster": "fake", "user": "tests", "namespace": self.namespace}}
        config = {"apiVersion": "v1", "kind": "Config", "clusters": [cluster], "users": [user], "contexts": [context]}
        path = folder / "kubeconfig.json"
        path.write_text(json.dumps({**config, "current-context": "fake"}))
        return path

    def settings(self, folder: Path, **more: Any) -> dict[str, Any]:
        """Return the engine's settings for this cluster, whose pods are on this machine."""
        here = {"image": "lab:1", "kubeconfig": self.kubeconfig(folder), "network": {"pod_cidrs": ["127.0.0.0/8"]}}
        return here | more

    def list_all(self, resource: str) -> list[Object]:
        """Return all objects of a kind."""
        return self.store.list_all(resource, self.namespace)

    def pod(self, name: str) -> Pod:
        """Return who speaks for a pod that runs."""
        return self._pods[name]

    def limit(self, **hard: str) -> None:
        """Set a quota, for example `pods="2"`."""
        metadata = {"name": "q", "namespace": self.namespace}
        self.store.put("resourcequotas", {"metadata": metadata, "spec": {"hard": hard}, "status": {"hard": hard}})

    def plant(self, manifest: Object) -> None:
        """Add a pod that is ready, as if it had been made before, with nobody to run it."""
        metadata = {**manifest["metadata"], "namespace": self.namespace, "creationTimestamp": now()}
        self.store.put("pods", {**manifest, "metadata": metadata, "status": {"phase": "Pending"}})
        pod = self._pods[metadata["name"]] = Pod(self.store, self.namespace, metadata["name"])
        pod.run("127.0.0.1")

    def remove(self, name: str) -> None:
        """Delete a pod as somebody else would."""
        self._delete("pods", self._pods[name].manifest, grace=1)

    def edit(self, resource: str, name: str, change: Object) -> None:
        """Change an object as somebody else would, by a merge patch."""
        item = self.store.find(resource, self.namespace, name)
        assert item is not None
        self.store.put(resource, merge(item, change))

    def tell_of_claim(self, name: str, reason: str, message: str) -> None:
        """Add an event of a claim."""
        about = {"kind": "PersistentVolumeClaim", "namespace": self.namespace, "name": name}
        metadata = {"name": f"{name}.{self.store.version:x}", "namespace": self.namespace}
        event = {"reason": reason, "message": message, "involvedObject": about, "lastTimestamp": now()}
        self.store.put("events", {"metadata": metadata, **event})

    def evict(self, name: str) -> None:
        """Take a pod away by the Eviction API."""
        self._pods[name].disrupt("EvictionByEvictionAPI")
        self.remove(name)

    def go_away(self) -> None:
        """Drop all connections, and each new one until `is_away` is unset."""
        self.is_away = True
        self.store.wake()

    async def kill(self, name: str, code: int = 137, reason: str = "", **status: Any) -> None:
        """End a pod from outside, without asking it."""
        await self._end_life(name)
        self._pods[name].end(code, reason, **status)

    @asynccontextmanager
    async def serve(self) -> AsyncIterator["FakeCluster"]:
        """Listen on a free loopback port; in the end all pods end."""
        app = web.Application(middlewares=[self._answer])
        for folder in (_FOLDER, _POLICIES):
            app.router.add_route("*", folder, self._on_collection)
            app.router.add_route("*", folder + "/{name}", self._on_object)
        app.router.add_get(_FOLDER + "/{name}/log", self._on_log)
        app.router.add_post(_FOLDER + "/{name}/eviction", self._on_eviction)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            await asyncio.gather(*map(self._end_life, list(self._lives)))
            self.go_away()
            await runner.cleanup()

    @web.middleware
    async def _answer(self, request: web.Request, handler: Any) -> web.StreamResponse:
        verb, resource = _VERBS[request.method], request.match_info.get("resource", "")
        if verb == "get" and "name" not in request.match_info:
            verb = "watch" if "watch" in request.query else "list"
        self.calls.append((verb, resource))
        if self.is_away:
            assert request.transport is not None
            request.transport.abort()
        if self.busy > 0:
            self.busy -= 1
            refusal = RefusalError(429, "TooManyRequests", "too many requests, please try again later")
            headers = {"Retry-After": str(self.retry_after)}
            return web.json_response(refusal.as_status(), status=429, headers=headers)
        try:
            self._admit(request, verb, resource)
            lie = self.lies.get((verb, resource))
            answer: web.StreamResponse = await handler(request) if lie is None else web.Response(text=lie)
        except RefusalError as refusal:
            return web.json_response(refusal.as_status(), status=refusal.status)
        except web.HTTPNotFound:
            return web.json_response(RefusalError(404, "", "404 page not found").as_status(), status=404)
        if self.ahead and not answer.prepared:
            answer.headers["Date"] = formatdate(time.time() + self.ahead, usegmt=True)
        return answer

    def _admit(self, request: web.Request, verb: str, resource: str) -> None:
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            raise RefusalError(401, "Unauthorized", "Unauthorized")
        if (verb, resource) in self.forbidden:
            account = 'User "system:serviceaccount:studiolo:studiolo" cannot'
            message = f'{resource} is forbidden: {account} {verb} resource "{resource}" in API group ""'
            raise RefusalError(403, "Forbidden", f'{message} in the namespace "{self.namespace}"')
        if resource and resource not in KINDS:
            raise RefusalError(404, "", "the server could not find the requested resource")
        named = request.match_info.get("namespace", self.namespace)
        if named != self.namespace and request.method == "POST":
            raise RefusalError(404, "NotFound", f'namespaces "{named}" not found')

    async def _on_collection(self, request: web.Request) -> web.StreamResponse:
        resource = request.match_info["resource"]
        if request.method == "POST":
            return web.json_response(self._create(resource, await request.json()), status=201)
        if "watch" in request.query:
            return await self._watch(request, resource)
        items = [item for item in self.store.list_all(resource, request.match_info["namespace"]) if fits(request, item)]
        if resource == "resourcequotas":
            items = [charge(item, self.list_all("pods")) for item in items]
        metadata: Object = {"resourceVersion": str(self.store.version)}
        begin, most = int(request.query.get("continue") or 0), int(request.query.get("limit") or len(items) or 1)
        if begin + most < len(items):
            metadata["continue"] = str(begin + most)
        page = [view(request, item) for item in items[begin : begin + most]]
        return web.json_response({"kind": f"{KINDS[resource]}List", "metadata": metadata, "items": page})

    async def _on_object(self, request: web.Request) -> web.StreamResponse:
        resource, name = request.match_info["resource"], request.match_info["name"]
        item = self.store.find(resource, request.match_info["namespace"], name)
        if item is None:
            raise RefusalError(404, "NotFound", f'{resource} "{name}" not found')
        if request.method == "PATCH":
            item = self.store.put(resource, merge(item, await request.json()))
        if request.method == "DELETE":
            self._delete(resource, item, int(request.query.get("gracePeriodSeconds", 30)))
        return web.json_response(view(request, item))

    async def _on_log(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        item = self.store.find("pods", self.namespace, name)
        if item is None:
            raise RefusalError(404, "NotFound", f'pods "{name}" not found')
        if item["status"]["phase"] == "Pending":
            raise RefusalError(400, "BadRequest", f'container "jupyterlab" in pod "{name}" is waiting to start')
        lines = self.logs.setdefault(name, [])
        response = web.StreamResponse()
        await response.prepare(request)
        sent = max(0, len(lines) - int(request.query.get("tailLines") or len(lines)))
        while True:
            # Asked first: what was printed before the end is still sent.
            running = self.store.find("pods", self.namespace, name)
            is_over = not running or running["status"]["phase"] in ("Succeeded", "Failed")
            await response.write("".join(f"{line}\n" for line in lines[sent:]).encode())
            sent = len(lines)
            if is_over or "follow" not in request.query:
                return response
            await asyncio.sleep(0.02)

    async def _on_eviction(self, request: web.Request) -> web.StreamResponse:
        self.evict(request.match_info["name"])
        return web.json_response({"kind": "Status", "status": "Success"}, status=201)

    def _create(self, resource: str, item: Object) -> Object:
        metadata = item["metadata"]
        metadata |= {"namespace": self.namespace, "creationTimestamp": now(), "uid": f"uid-{next(self._numbers)}"}
        check(resource, item)
        if self.store.find(resource, self.namespace, metadata["name"]):
            raise RefusalError(409, "AlreadyExists", f'{resource} "{metadata["name"]}" already exists')
        if resource == "secrets":
            given = item.pop("stringData", {})
            item["data"] = {name: base64.b64encode(text.encode()).decode() for name, text in given.items()}
        if resource != "pods":
            return self.store.put(resource, item)
        check_security(item)
        check_quota(item, self.list_all("pods"), self.list_all("resourcequotas"))
        item["status"] = {"phase": "Pending"}
        pod = self._pods[metadata["name"]] = Pod(self.store, self.namespace, metadata["name"])
        stored = self.store.put(resource, item)
        self._lives[pod.name] = asyncio.create_task(self._live(pod))
        return stored

    def _delete(self, resource: str, item: Object, grace: int) -> None:
        if resource != "pods" or item["status"]["phase"] in ("Succeeded", "Failed"):
            self.store.remove(resource, item)
            return
        pod = self._pods[item["metadata"]["name"]]
        pod.grace_seconds = min(grace, pod.grace_seconds)
        if not pod.is_stopping.is_set():
            metadata = {
                **item["metadata"],
                "deletionTimestamp": now(later=grace + self.ahead),
                "deletionGracePeriodSeconds": grace,
            }
            self.store.put("pods", {**item, "metadata": metadata})
        pod.is_stopping.set()
        if pod.name not in self._lives or self._lives[pod.name].done():
            self.store.remove("pods", pod.manifest)

    async def _live(self, pod: Pod) -> None:
        try:
            await self.runner(pod)
        except OSError as exc:
            # As a node tells of what it cannot make.
            pod.wait("CreateContainerError", str(exc))
            await pod.is_stopping.wait()
        if pod.is_stopping.is_set():
            self.store.remove("pods", pod.manifest)

    async def _end_life(self, name: str) -> None:
        if name in self._lives:
            self._lives[name].cancel()
            await asyncio.gather(self._lives[name], return_exceptions=True)

    async def _watch(self, request: web.Request, resource: str) -> web.StreamResponse:
        version = int(request.query.get("resourceVersion") or self.store.version)
        if version > self.store.version:
            raise RefusalError(504, "Timeout", f"Too large resource version: {version}, current: {self.store.version}")
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        if version < self.store.compacted:
            gone = RefusalError(410, "Expired", f"too old resource version: {version} ({self.store.compacted})")
            await _send(response, "ERROR", gone.as_status())
            return response

        event = self.store.listen()
        try:
            async with asyncio.timeout(float(request.query.get("timeoutSeconds", 1800))):
                while not self.is_away:
                    event.clear()
                    for change in self.store.since(version, resource, lambda item: fits(request, item)):
                        await _send(response, change.kind, change.item)
                    version = self.store.version
                    try:
                        async with asyncio.timeout(self.bookmark_seconds):
                            await event.wait()
                    except TimeoutError:
                        bookmark = {"kind": KINDS[resource], "metadata": {"resourceVersion": str(version)}}
                        await _send(response, "BOOKMARK", bookmark)
        except TimeoutError:
            pass
        finally:
            self.store.leave(event)
        return response


async def _send(response: web.StreamResponse, kind: str, item: Object) -> None:
    await response.write(json.dumps({"type": kind, "object": item}).encode() + b"\n")
