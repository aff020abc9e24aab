"""What we keep of a pod, and what it means: pure functions over the API's objects."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from studiolo.engines.base import Exit, Handle, Observation, Phase
from studiolo.engines.kubernetes import names
from studiolo.runtime import exits

_NEVER_PULLED = {"InvalidImageName", "ErrImageNeverPull"}
_NOT_PULLED = {"ErrImagePull", "ImagePullBackOff", "ImageInspectError", "RegistryUnavailable"}
_NOT_MADE = {"CreateContainerConfigError", "CreateContainerError", "RunContainerError", "StartError"}
_TAKEN_AWAY = {"Evicted", "Preempting", "Terminated", "NodeShutdown", "NodeAffinity", "NodeLost", "Shutdown"}
_ENDED = {"Succeeded", "Failed"}
_SIGKILL = 9
# A node that is gone never confirms that its pods ended.
_LOST_AFTER = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Record:
    """A pod as it was last seen. `version` grows with each change; times are aware UTC.

    `waiting`, `waiting_message`: why its container is not made yet; `unplaced`: why it has no node. `taken_away`: who
    evicts it. `exit_reason`, `exit_code`, `ended_at`: how its container ended. `memory`: its limit, bytes.
    """

    name: str
    workload_id: str
    launch: int
    version: int
    phase: str
    created_at: datetime
    ip: str = ""
    port: int = 0
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


def read(pod: dict[str, Any]) -> Record | None:
    """Return what we keep of a Pod object; None for one that is none of ours."""
    metadata, spec, status = pod["metadata"], pod.get("spec", {}), pod.get("status", {})
    labels = metadata.get("labels", {})
    if names.WORKLOAD not in labels or not labels.get(names.LAUNCH, "").isdigit():
        return None
    container: dict[str, Any] = next(iter(spec.get("containers", [])), {})
    state: dict[str, Any] = next(iter(status.get("containerStatuses") or []), {})
    waiting, terminated = (state.get("state", {}).get(which) or {} for which in ("waiting", "terminated"))
    conditions = {condition["type"]: condition for condition in status.get("conditions") or []}
    scheduled, disrupted = conditions.get("PodScheduled", {}), conditions.get("DisruptionTarget", {})
    begun, limit = _time(status.get("startTime")), spec.get("activeDeadlineSeconds")
    memory = container.get("resources", {}).get("limits", {}).get("memory")
    is_placed, is_disrupted = scheduled.get("status") == "True", disrupted.get("status") == "True"
    return Record(
        name=metadata["name"],
        workload_id=labels[names.WORKLOAD],
        launch=int(labels[names.LAUNCH]),
        version=int(metadata.get("resourceVersion") or 0),
        phase=status.get("phase") or "Pending",
        created_at=_time(metadata.get("creationTimestamp")) or datetime.now(UTC),
        ip=status.get("podIP", ""),
        port=next((port["containerPort"] for port in container.get("ports", [])), 0),
        placed_at=_time(scheduled.get("lastTransitionTime")) if is_placed else None,
        unplaced=scheduled.get("message", "") if scheduled.get("status") == "False" else "",
        is_started=bool(state.get("started")) and "running" in state.get("state", {}),
        waiting=waiting.get("reason", ""),
        waiting_message=waiting.get("message", ""),
        exit_reason=terminated.get("reason", ""),
        exit_code=terminated.get("exitCode"),
        exit_message=terminated.get("message", ""),
        ended_at=_time(terminated.get("finishedAt")),
        reason=status.get("reason", ""),
        message=status.get("message", ""),
        taken_away=disrupted.get("reason", "") if is_disrupted else "",
        deleting_at=_time(metadata.get("deletionTimestamp")),
        ends_at=begun + timedelta(seconds=limit) if begun and limit else None,
        memory=int(names.amount(memory)) if memory else None,
    )


def explain(record: Record, news: str, *, now: datetime, image_seconds: float) -> Observation | None:
    """Return what a pod's record means; None if it was deleted and its node does not confirm it.

    `news`: what the cluster last told of the pod, a sentence, or empty.
    """
    if record.deleting_at is not None:
        if now - record.deleting_at > _LOST_AFTER:
            return None
        # Its end is told once it is gone, and why it was deleted is known then.
        return Observation(Phase.STARTING, message="The pod is being ended.")
    if record.has_ended:
        return Observation(Phase.ENDED, exit=_exit(record))
    if record.phase == "Running":
        if record.is_started and record.ip:
            host = f"[{record.ip}]" if ":" in record.ip else record.ip
            return Observation(Phase.READY, upstream=f"{host}:{record.port}", ends_at=record.ends_at)
        return Observation(Phase.STARTING, message="JupyterLab is starting.", ends_at=record.ends_at)
    return _explain_pending(record, news, now, image_seconds)


def explain_removal(record: Record) -> Exit | None:
    """Return how a pod ended that is gone, if its record tells: the cluster took it away, or it had ended before."""
    at = record.ended_at or record.deleting_at or datetime.now(UTC)
    if record.taken_away:
        return Exit("evicted", f"The cluster took the session's pod away ({_words(record.taken_away)}). {_LOST}", at)
    if record.has_ended and record.deleting_at is None:
        return _exit(record)
    return None


_LOST = "What was not saved is lost."


def _explain_pending(record: Record, news: str, now: datetime, image_seconds: float) -> Observation:
    waited = now - (record.placed_at or record.created_at)
    said = record.waiting_message or news
    if record.waiting in _NEVER_PULLED | _NOT_PULLED:
        if record.waiting in _NEVER_PULLED or waited.total_seconds() > image_seconds:
            message = f"The image cannot be had ({_words(record.waiting)}): {_sentence(said)}"
            return Observation(Phase.ENDED, exit=Exit("image-missing", message, record.placed_at or record.created_at))
        return Observation(Phase.PENDING, message=f"The image cannot be pulled yet: {_sentence(said)}")
    if record.waiting in _NOT_MADE:
        message = f"The container cannot be made ({_words(record.waiting)}): {_sentence(said)}"
        if waited.total_seconds() > image_seconds:
            return Observation(Phase.ENDED, exit=Exit("never-ready", message, record.placed_at or record.created_at))
        return Observation(Phase.PENDING, message=message)
    if record.unplaced:
        return Observation(Phase.PENDING, message=f"Waiting for a place in the cluster: {_sentence(record.unplaced)}")
    if record.placed_at is None:
        return Observation(Phase.PENDING, message=news or "Waiting for a place in the cluster.")
    return Observation(Phase.PENDING, message=news or "The node makes the container.")


def _exit(record: Record) -> Exit:
    at = record.ended_at or record.created_at
    code = record.exit_code
    if record.taken_away or record.reason in _TAKEN_AWAY:
        said = _sentence(record.message) if record.message else _LOST
        return Exit("evicted", f"The cluster took the session's pod away: {said}", at, code)
    if record.reason == "DeadlineExceeded":
        return Exit("time-limit", f"The session reached its time limit and was ended. {_LOST}", at, code)
    if record.exit_reason in {"ContainerCannotRun", "StartError"} or code is None:
        said = record.exit_message or record.message or record.reason or "the cluster does not say why"
        return Exit("never-ready", f"The container could not run: {_sentence(said)}", at, code)
    is_oom = record.exit_reason == "OOMKilled"
    killed = is_oom or code == 128 + _SIGKILL
    ending = exits.Ending(
        status=-_SIGKILL if killed else code,
        # A pod's status does not tell whether its server ever listened; the log does.
        was_ready=True,
        stop_was_asked=False,
        grace_ran_out=False,
        grace_seconds=0,
        memory=exits.Memory(is_oom, None, limit=record.memory if is_oom else None),
    )
    reason, message = exits.explain(ending)
    number = _SIGKILL if killed else None
    return Exit(reason, message, at, None if killed else code, number, memory_limit=ending.memory.limit)


def _words(reason: str) -> str:
    return "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in reason).strip()


def _sentence(text: str) -> str:
    """Return a cluster's text as the end of a sentence, in one line and not too long."""
    plain = " ".join(text.split()) or "no reason is told"
    return f"{plain[:300].rstrip('.')}."


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
