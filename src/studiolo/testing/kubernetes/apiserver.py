"""A real API server: etcd and kube-apiserver, and one node that is played, which runs pods as a Runner says.

What an API server decides is real then: names, fields, versions, watches, rights, graceful ends. What a scheduler and a
kubelet do is written into it through the API.
"""

import asyncio
import contextlib
import json
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from studiolo.testing.kubernetes.pods import Object, Pod, Runner, run_at_once
from studiolo.testing.ports import free_port

_ADMIN, _PLATFORM = "token-of-the-administrator", "token-of-the-platform"
_PATIENCE_SECONDS = 120.0
_MERGE = "application/merge-patch+json"
_NODE = "node-1"


@dataclass
class Mirror:
    """What the node knows of pods, in place of a Store: what it says of them is written through the API, in order."""

    server: "APIServer"
    pods: dict[str, Object] = field(default_factory=dict)
    version: int = 0
    said: asyncio.Queue[tuple[str, str, Object]] = field(default_factory=asyncio.Queue)

    def find(self, resource: str, namespace: str, name: str) -> Object | None:
        """Return a pod as the node has it."""
        return self.pods.get(name)

    def put(self, resource: str, item: Object) -> Object:
        """Say something of a pod."""
        self.version += 1
        name = item["metadata"]["name"]
        if resource == "events":
            self.said.put_nowait(("POST", "events", {**item, "source": {"component": "tests"}}))
        else:
            self.pods[name] = item
            self.said.put_nowait(("PATCH", f"pods/{name}/status", {"status": item["status"]}))
        return item

    async def write(self) -> None:
        """Write what is said, for as long as it is needed."""
        while True:
            method, path, body = await self.said.get()
            # Of a pod that is gone nobody needs to know.
            with contextlib.suppress(aiohttp.ClientResponseError):
                await self.server.ask(method, path, body)
            self.said.task_done()


class APIServer:
    """The programs of `binaries` on loopback ports; what they keep lies in `folder`. `logs` are not served.

    The platform's account has what `role` (rules of a Role) gives it, nothing else.
    """

    def __init__(self, binaries: Path, folder: Path, role: list[Object], *, runner: Runner = run_at_once) -> None:
        self.namespace = "studiolo"
        self.runner = runner
        self.url = f"https://127.0.0.1:{free_port()}"
        self._binaries = binaries
        self._folder = folder
        self._role = role
        self._mirror = Mirror(self)
        self._running: dict[str, Pod] = {}
        self._lives: dict[str, asyncio.Task[None]] = {}
        self._http: aiohttp.ClientSession | None = None

    def settings(self, folder: Path) -> dict[str, Any]:
        """Return the engine's settings for this cluster; its kubeconfig is written into `folder`."""
        cluster = {"name": "real", "cluster": {"server": self.url, "insecure-skip-tls-verify": True}}
        user = {"name": "tests", "user": {"token": _PLATFORM}}
        context = {"name": "real", "context": {"cluster": "real", "user": "tests", "namespace": self.namespace}}
        config = {"apiVersion": "v1", "kind": "Config", "clusters": [cluster], "users": [user], "contexts": [context]}
        path = folder / "kubeconfig.json"
        path.write_text(json.dumps({**config, "current-context": "real"}))
        return {"image": "lab:1", "kubeconfig": path, "network": {"pod_cidrs": ["127.0.0.0/8"]}}

    async def ask(self, method: str, path: str, body: Object | None = None, *, api: str = "/api/v1") -> Object:
        """Ask as an administrator; `path` is below the namespace. Raises aiohttp.ClientResponseError."""
        assert self._http is not None
        kind = _MERGE if method == "PATCH" else "application/json"
        url = f"{self.url}{api}/namespaces/{self.namespace}/{path}".rstrip("/")
        async with self._http.request(method, url, json=body, headers={"Content-Type": kind}) as response:
            if response.status >= 400:
                raise aiohttp.ClientResponseError(
                    response.request_info, (), status=response.status, message=await response.text()
                )
            answer: Object = await response.json()
            return answer

    async def kill(self, name: str, code: int = 137, reason: str = "") -> None:
        """End a pod from outside, without asking it."""
        await _cancel(self._lives[name])
        self._running[name].end(code, reason)

    @asynccontextmanager
    async def serve(self) -> AsyncIterator["APIServer"]:
        """Run the programs, and the node until the end."""
        with self._run_programs():
            connector = aiohttp.TCPConnector(ssl=_unverified())
            async with aiohttp.ClientSession(
                connector=connector, headers={"Authorization": f"Bearer {_ADMIN}"}
            ) as self._http:
                await self._await_ready()
                await self._prepare()
                tasks = [asyncio.create_task(self._mirror.write()), asyncio.create_task(self._look_after())]
                try:
                    yield self
                finally:
                    await asyncio.gather(*map(_cancel, [*tasks, *self._lives.values()]))

    @contextlib.contextmanager
    def _run_programs(self) -> Iterator[None]:
        client, peer = free_port(), free_port()
        port = self.url.rpartition(":")[2]
        key = self._folder / "accounts.key"
        subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
        (self._folder / "tokens.csv").write_text(
            f"{_ADMIN},admin,admin,system:masters\n{_PLATFORM},studiolo,studiolo\n"
        )
        etcd = {
            "data-dir": self._folder / "etcd",
            "listen-client-urls": f"http://127.0.0.1:{client}",
            "advertise-client-urls": f"http://127.0.0.1:{client}",
            "listen-peer-urls": f"http://127.0.0.1:{peer}",
            "initial-advertise-peer-urls": f"http://127.0.0.1:{peer}",
            "initial-cluster": f"default=http://127.0.0.1:{peer}",
            # A test's data may be lost.
            "unsafe-no-fsync": "true",
        }
        server = {
            "etcd-servers": f"http://127.0.0.1:{client}",
            "bind-address": "127.0.0.1",
            "advertise-address": "127.0.0.1",
            "endpoint-reconciler-type": "none",
            "secure-port": port,
            "cert-dir": self._folder / "certificates",
            "token-auth-file": self._folder / "tokens.csv",
            "authorization-mode": "RBAC",
            "service-account-issuer": "https://localhost",
            "service-account-key-file": key,
            "service-account-signing-key-file": key,
            "service-cluster-ip-range": "10.0.0.0/24",
            # Nobody makes accounts of namespaces here.
            "disable-admission-plugins": "ServiceAccount",
        }
        with contextlib.ExitStack() as stack:
            for name, flags in (("etcd", etcd), ("kube-apiserver", server)):
                log = stack.enter_context((self._folder / f"{name}.log").open("wb"))
                arguments = [f"--{flag}={value}" for flag, value in flags.items()]
                program = subprocess.Popen([self._binaries / name, *arguments], stdout=log, stderr=log)
                stack.callback(program.wait)
                stack.callback(program.kill)
            yield

    async def _await_ready(self) -> None:
        give_up_at = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                assert self._http is not None
                async with self._http.get(f"{self.url}/readyz") as response:
                    if response.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            if time.monotonic() > give_up_at:
                raise TimeoutError((self._folder / "kube-apiserver.log").read_text()[-2000:])
            await asyncio.sleep(0.2)

    async def _prepare(self) -> None:
        assert self._http is not None
        namespace = {"metadata": {"name": self.namespace}}
        async with self._http.post(f"{self.url}/api/v1/namespaces", json=namespace) as response:
            response.raise_for_status()
        rights = "/apis/rbac.authorization.k8s.io/v1"
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "studiolo"}
        subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "studiolo"}
        await self.ask("POST", "roles", {"metadata": {"name": "studiolo"}, "rules": self._role}, api=rights)
        binding = {"metadata": {"name": "studiolo"}, "roleRef": reference, "subjects": [subject]}
        await self.ask("POST", "rolebindings", binding, api=rights)

    async def _look_after(self) -> None:
        """Be the scheduler and the node of all pods."""
        assert self._http is not None
        url = f"{self.url}/api/v1/namespaces/{self.namespace}/pods?watch=true"
        async with self._http.get(url, timeout=aiohttp.ClientTimeout()) as response:
            async for line in response.content:
                event = json.loads(line)
                pod = event["object"]
                name = pod["metadata"]["name"]
                if event["type"] == "ADDED":
                    self._mirror.pods[name] = pod
                    self._running[name] = Pod(self._mirror, self.namespace, name)
                    self._lives[name] = asyncio.create_task(self._live(self._running[name]))
                elif event["type"] == "MODIFIED" and "deletionTimestamp" in pod["metadata"]:
                    self._running[name].grace_seconds = pod["metadata"]["deletionGracePeriodSeconds"]
                    self._running[name].is_stopping.set()

    async def _live(self, pod: Pod) -> None:
        target = {"apiVersion": "v1", "kind": "Node", "name": _NODE}
        await self.ask("POST", f"pods/{pod.name}/binding", {"metadata": {"name": pod.name}, "target": target})
        await self.runner(pod)
        await pod.is_stopping.wait()
        await self._mirror.said.join()
        with contextlib.suppress(aiohttp.ClientResponseError):
            await self.ask("DELETE", f"pods/{pod.name}", {"gracePeriodSeconds": 0})


def _unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
