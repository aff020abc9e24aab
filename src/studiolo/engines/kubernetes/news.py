"""What the cluster tells of pods that do not run yet, and of the claims that they wait for."""

from typing import Any

from studiolo.engines.kubernetes.api import ClusterAPI, Object
from studiolo.engines.kubernetes.following import Follower
from studiolo.engines.kubernetes.pods import Pods
from studiolo.engines.kubernetes.records import Record

# Events also come for pods of others in the namespace.
_MOST = 2000
_MOST_TEXT = 300
_POD, _CLAIM = "Pod", "PersistentVolumeClaim"
_SAID = {
    _POD: {
        "FailedScheduling": "Waiting for a place in the cluster: {}.",
        "TriggeredScaleUp": "The cluster gets another node for the session.",
        "NotTriggerScaleUp": "Waiting for a place in the cluster, which does not grow: {}.",
        "Scheduled": "A node was found.",
        "Pulling": "Pulling the image.",
        "Pulled": "The image is there.",
        "FailedMount": "A volume of the session cannot be mounted yet: {}.",
        "FailedAttachVolume": "A volume of the session cannot be attached yet: {}.",
        "FailedCreatePodSandBox": "The node cannot make the pod yet: {}.",
        "Failed": "The node tries again: {}.",
    },
    _CLAIM: {
        "Provisioning": "The cluster makes the workspace's volume.",
        "ExternalProvisioning": "The cluster makes the workspace's volume.",
        "ProvisioningFailed": "The cluster cannot make the workspace's volume: {}.",
        "FailedBinding": "The cluster has no volume for the workspace: {}.",
        "ClaimLost": "The workspace's volume is lost: {}.",
    },
}


class News:
    """The last that was told of each pod and claim, in words, from one watch of the namespace's events."""

    def __init__(self, api: ClusterAPI, pods: Pods) -> None:
        self._pods = pods
        self._told: dict[tuple[str, str], str] = {}
        self.follower = Follower(api, api.path("events"), {}, self)

    def of(self, record: Record) -> str:
        """Return what was told last of a pod, or of the claim that it has no place without; nothing otherwise."""
        of_claim = self._told.get((_CLAIM, record.claim), "") if record.unplaced else ""
        return of_claim or self._told.get((_POD, record.name), "")

    def drop(self, record: Record) -> None:
        """Forget what was told of a pod and its claim: it runs."""
        self._told.pop((_POD, record.name), None)
        self._told.pop((_CLAIM, record.claim), None)

    def listed(self, objects: list[Object], version: str) -> None:
        """See Keeps.listed. Old events stay: that they expire says nothing."""
        for item in sorted(objects, key=_time):
            self.changed("ADDED", item)

    def changed(self, kind: str, item: Object) -> None:
        """See Keeps.changed."""
        about = item.get("involvedObject") or {}
        key = about.get("kind") or "", about.get("name") or ""
        said = _SAID.get(key[0], {}).get(item.get("reason") or "")
        if kind == "DELETED" or said is None:
            return
        record = self._pods.find_name(key[1]) if key[0] == _POD else None
        if record is not None and record.phase != "Pending":
            return
        while len(self._told) >= _MOST:
            del self._told[next(iter(self._told))]
        self._told.pop(key, None)
        self._told[key] = said.format(" ".join(str(item.get("message") or "").split())[:_MOST_TEXT].rstrip("."))
        if record is not None:
            self._pods.tell(record.key)
        elif key[0] == _CLAIM:
            for waiting in self._pods.list_all():
                if waiting.claim == key[1] and waiting.unplaced:
                    self._pods.tell(waiting.key)

    def shrink(self, item: Object) -> Object:
        """See Keeps.shrink."""
        about = item.get("involvedObject") or {}
        kept: dict[str, Any] = {name: item.get(name) for name in ("reason", "message")}
        kept["lastTimestamp"] = _time(item)
        return {**kept, "involvedObject": {name: about.get(name) for name in ("kind", "name")}}


def _time(item: Object) -> str:
    """Return when an event was last seen; times that the API writes are in order as text is."""
    created = (item.get("metadata") or {}).get("creationTimestamp")
    return str(item.get("lastTimestamp") or item.get("eventTime") or created or "")
