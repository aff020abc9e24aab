"""What we keep of a pod: read from the API's object, of which nothing is taken for granted."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from studiolo.engines.base import Handle
from studiolo.engines.kubernetes import names

_ENDED = {"Succeeded", "Failed"}


@dataclass(frozen=True, slots=True)
class Record:
    """A pod as it was last seen. `version` grows with each change; times are aware UTC.

    `waiting`, `waiting_message`: why its container is not made yet; `unplaced`: why it has no node. `taken_away`: who
    evicts it. `exit_reason`, `exit_code`, `ended_at`: how its container ended. `memory`: its limit, bytes. `claim`: the
    one that holds the workspace's files. `makes_environment`: whether its start may take long for that.
    """

    name: str
    workload_id: str
    launch: int
    version: int
    phase: str
    created_at: datetime
    ip: str = ""
    port: int = 0
    kernels_port: int = 0
    placed_at: datetime | None = None
    unplaced: str = ""
    is_started: bool = False
    waiting: str = ""
    waiting_message: str = ""
    exit_reason: str = ""
    exit_code: int | None = None
    exit_message: str = ""
    ended_at: datetime | None = None
    reason: str = ""
    message: str = ""
    taken_away: str = ""
    deleting_at: datetime | None = None
    ends_at: datetime | None = None
    memory: int | None = None
    claim: str = ""
    makes_environment: bool = False

    @property
    def key(self) -> tuple[str, int]:
        """Names the launch."""
        return self.workload_id, self.launch

    @property
    def handle(self) -> Handle:
        """What the platform keeps."""
        return {"workload_id": self.workload_id, "launch": self.launch, "pod": self.name}

    @property
    def has_ended(self) -> bool:
        """Whether nothing of it runs any more."""
        return self.phase in _ENDED


def read(pod: Any) -> Record | None:
    """Return what we keep of a Pod object; None for one that is none of ours, or that cannot be read."""
    try:
        return _read(pod)
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
        return None


def secrets_of(pod: dict[str, Any]) -> set[str]:
    """Return the names of the Secrets that a Pod object mounts: what it was made for, whatever its labels say."""
    volumes = (pod.get("spec") or {}).get("volumes") or []
    return {str(volume["secret"].get("secretName")) for volume in volumes if isinstance(volume.get("secret"), dict)}


def _read(pod: Any) -> Record | None:
    metadata, spec, status = pod["metadata"], pod.get("spec") or {}, pod.get("status") or {}
    labels = metadata.get("labels") or {}
    workload_id, launch = labels.get(names.WORKLOAD, ""), labels.get(names.LAUNCH, "")
    # Labels are anybody's to set who may make pods; a pod's name is given once, by its maker.
    if not launch.isdecimal() or not metadata["name"].endswith(f"-{workload_id}-{launch}"):
        return None
    container: dict[str, Any] = next(iter(spec.get("containers") or []), {})
    state: dict[str, Any] = next(iter(status.get("containerStatuses") or []), {})
    waiting, terminated = ((state.get("state") or {}).get(which) or {} for which in ("waiting", "terminated"))
    conditions = {condition["type"]: condition for condition in status.get("conditions") or []}
    scheduled, disrupted = conditions.get("PodScheduled", {}), conditions.get("DisruptionTarget", {})
    begun, limit = _time(status.get("startTime")), spec.get("activeDeadlineSeconds")
    memory = (container.get("resources") or {}).get("limits", {}).get("memory")
    ports = {port.get("name", ""): int(port["containerPort"]) for port in container.get("ports") or []}
    is_placed, is_disrupted = scheduled.get("status") == "True", disrupted.get("status") == "True"
    return Record(
        name=metadata["name"],
        workload_id=workload_id,
        launch=int(launch),
        version=int(metadata.get("resourceVersion") or 0),
        phase=status.get("phase") or "Pending",
        created_at=_time(metadata.get("creationTimestamp")) or datetime.now(UTC),
        ip=status.get("podIP") or "",
        port=next(iter(ports.values()), 0),
        kernels_port=ports.get(names.KERNELS_PORT, 0),
        placed_at=_time(scheduled.get("lastTransitionTime")) if is_placed else None,
        unplaced=scheduled.get("message", "") if scheduled.get("status") == "False" else "",
        is_started=bool(state.get("started")) and "running" in (state.get("state") or {}),
        waiting=waiting.get("reason", ""),
        waiting_message=waiting.get("message", ""),
        exit_reason=terminated.get("reason", ""),
        exit_code=None if (code := terminated.get("exitCode")) is None else int(code),
        exit_message=terminated.get("message", ""),
        ended_at=_time(terminated.get("finishedAt")),
        reason=status.get("reason") or "",
        message=status.get("message") or "",
        taken_away=disrupted.get("reason", "") if is_disrupted else "",
        deleting_at=_time(metadata.get("deletionTimestamp")),
        ends_at=begun + timedelta(seconds=limit) if begun and limit else None,
        memory=int(names.amount(memory)) if memory else None,
        claim=next((claim for volume in spec.get("volumes") or [] if (claim := _claim(volume))), ""),
        makes_environment=names.RECIPE in (metadata.get("annotations") or {}),
    )


def _claim(volume: dict[str, Any]) -> str:
    is_workspace = volume.get("name") == names.WORKSPACE_VOLUME
    return (volume.get("persistentVolumeClaim") or {}).get("claimName", "") if is_workspace else ""


def _time(text: str | None) -> datetime | None:
    if not text:
        return None
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=UTC)
