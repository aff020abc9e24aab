"""What a pod's record means to people and to the platform. Pure."""

import ipaddress
from datetime import datetime, timedelta

from studiolo.engines.base import Exit, Observation, Phase
from studiolo.engines.kubernetes.records import Record
from studiolo.engines.kubernetes.settings import KubernetesSettings
from studiolo.runtime import exits

_NEVER_PULLED = {"InvalidImageName", "ErrImageNeverPull"}
_NOT_PULLED = {"ErrImagePull", "ImagePullBackOff", "ImageInspectError", "RegistryUnavailable"}
_NOT_MADE = {"CreateContainerConfigError", "CreateContainerError", "RunContainerError", "StartError"}
_TAKEN_AWAY = {"Evicted", "Preempting", "Terminated", "NodeShutdown", "NodeAffinity", "NodeLost", "Shutdown"}
_SIGKILL = 9
# A node that is gone never confirms that its pods ended.
_LOST_AFTER = timedelta(seconds=60)


def explain(record: Record, news: str, settings: KubernetesSettings, *, now: datetime) -> Observation | None:
    """Return what a pod's record means; None if it was deleted and its node does not confirm it.

    `news`: what the cluster last told of the pod, a sentence, or empty. `now`: by the cluster's clock.
    """
    if record.deleting_at is not None:
        if now - record.deleting_at > _LOST_AFTER:
            return None
        # Its end is told once it is gone, and why it was deleted is known then.
        return Observation(Phase.STARTING, message="The pod is being ended.")
    if record.has_ended:
        return Observation(Phase.ENDED, exit=_exit(record))
    if record.phase != "Running":
        return _explain_pending(record, news, now, settings.image_seconds)
    if not (record.is_started and record.ip):
        return Observation(Phase.STARTING, message="JupyterLab is starting.", ends_at=record.ends_at)
    host = host_of(record.ip, settings.network.pod_cidrs)
    if host is None:
        said = f"The cluster gives the pod an address that no pod has: {_sentence(record.ip)}"
        return Observation(Phase.STARTING, message=said)
    # Whether somebody listens there is found out by whoever asks: images without our kernel host have none.
    kernels = f"{host}:{record.kernels_port}" if record.kernels_port else None
    return Observation(Phase.READY, upstream=f"{host}:{record.port}", ends_at=record.ends_at, kernels=kernels)


def explain_removal(record: Record) -> Exit | None:
    """Return how a pod ended that is gone, if its record tells: the cluster took it away, or it had ended before."""
    at = record.ended_at or record.deleting_at or record.created_at
    if record.taken_away:
        return Exit("evicted", f"The cluster took the session's pod away ({_words(record.taken_away)}). {_LOST}", at)
    if record.has_ended and record.deleting_at is None:
        return _exit(record)
    return None


def host_of(address: str, pod_cidrs: tuple[str, ...]) -> str | None:
    """Return an address as an upstream names it; None for one that pods do not have.

    What is told is not believed: the front door connects to it from the platform's own place in the network.
    """
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return None
    if pod_cidrs:
        is_pods = any(ip in ipaddress.ip_network(cidr) for cidr in pod_cidrs)
    else:
        is_pods = not (ip.is_loopback or ip.is_link_local or ip.is_multicast or ip.is_unspecified)
    if not is_pods:
        return None
    return f"[{ip}]" if ip.version == 6 else str(ip)


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
        # A node is looked for again and again; what the claim waits for is told once.
        waits_for_claim = news if "persistentvolumeclaim" in record.unplaced.lower() else ""
        said = f"Waiting for a place in the cluster: {_sentence(record.unplaced)}"
        return Observation(Phase.PENDING, message=waits_for_claim or said)
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
