"""The life of a pod as a kubelet tells it: who runs it says what happens, and it stands in the pod's status."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

Object = dict[str, Any]
_TERMINATED = 128 + 15


class Keeps(Protocol):
    """Where pods stand as they are, and where what is said of them goes."""

    version: int

    def find(self, resource: str, namespace: str, name: str) -> Object | None:
        """Return an object as it stands."""
        ...

    def put(self, resource: str, item: Object) -> Object:
        """Add or replace an object."""
        ...


class Pod:
    """A pod that somebody runs. `is_stopping` is set when it is deleted and has `grace_seconds` left."""

    def __init__(self, store: Keeps, namespace: str, name: str) -> None:
        self._store = store
        self.namespace = namespace
        self.name = name
        self.is_stopping = asyncio.Event()
        self.grace_seconds = 30

    @property
    def manifest(self) -> Object:
        """The pod as it stands."""
        found = self._store.find("pods", self.namespace, self.name)
        assert found is not None
        return found

    def place(self) -> None:
        """A node was found."""
        self._condition("PodScheduled", "True")
        self.tell("Scheduled", f"Successfully assigned {self.namespace}/{self.name} to node-1")
        self.wait("ContainerCreating")

    def find_no_place(self, message: str) -> None:
        """No node has room."""
        self._condition("PodScheduled", "False", reason="Unschedulable", message=message)
        self.tell("FailedScheduling", message, kind="Warning")

    def wait(self, reason: str, message: str = "") -> None:
        """The container is not made yet, or cannot be."""
        state = {"reason": reason, **({"message": message} if message else {})}
        self._status(startTime=now(), containerStatuses=[self._container({"waiting": state})])

    def run(self, ip: str, *, started: bool = True) -> None:
        """The container runs; `started`: its startup probe succeeded."""
        state = self._container({"running": {"startedAt": now()}}) | {"started": started, "ready": started}
        self._status(phase="Running", podIP=ip, podIPs=[{"ip": ip}], containerStatuses=[state])

    def end(self, code: int, reason: str = "", **status: Any) -> None:
        """The container ended; `status` is added to the pod's."""
        word = reason or ("Completed" if code == 0 else "Error")
        ended = {"terminated": {"exitCode": code, "reason": word, "finishedAt": now()}}
        phase = "Succeeded" if code == 0 else "Failed"
        self._status(**{"phase": phase, "containerStatuses": [self._container(ended)], **status})

    def disrupt(self, reason: str) -> None:
        """The cluster is about to take the pod away."""
        self._condition("DisruptionTarget", "True", reason=reason)

    def tell(self, reason: str, message: str, kind: str = "Normal") -> None:
        """An event of the pod."""
        name = f"{self.name}.{self._store.version:x}"
        about = {"kind": "Pod", "namespace": self.namespace, "name": self.name}
        event = {"reason": reason, "message": message, "type": kind, "involvedObject": about, "lastTimestamp": now()}
        self._store.put("events", {"metadata": {"name": name, "namespace": self.namespace}, **event})

    def _container(self, state: Object) -> Object:
        container = self.manifest["spec"]["containers"][0]
        return {"name": container["name"], "image": container["image"], "state": state, "restartCount": 0}

    def _condition(self, kind: str, status: str, **more: str) -> None:
        others = [known for known in self.manifest["status"].get("conditions", []) if known["type"] != kind]
        self._status(conditions=[*others, {"type": kind, "status": status, "lastTransitionTime": now(), **more}])

    def _status(self, **status: Any) -> None:
        item = self.manifest
        self._store.put("pods", {**item, "status": {**item["status"], **status}})


# Runs a pod until it ends; returns once the pod's container is gone.
Runner = Callable[[Pod], Awaitable[None]]


async def run_at_once(pod: Pod) -> None:
    """Be ready at once, and end when told to: the script of tests that need nothing else."""
    pod.place()
    pod.run("127.0.0.1", started=False)
    pod.run("127.0.0.1")
    await pod.is_stopping.wait()
    pod.end(_TERMINATED)


def scripted(*steps: Callable[[Pod], None]) -> Runner:
    """Return what runs a pod through these steps, and ends it when it is told to."""

    async def run(pod: Pod) -> None:
        for step in steps:
            step(pod)
        await pod.is_stopping.wait()

    return run


def now(*, later: float = 0) -> str:
    """Return a time as the API writes it, `later` seconds from now."""
    return (datetime.now(UTC) + timedelta(seconds=later)).strftime("%Y-%m-%dT%H:%M:%SZ")
