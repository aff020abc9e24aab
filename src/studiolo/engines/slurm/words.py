"""What Slurm's short reasons mean, in sentences for people.

Source: Slurm's own page on job reason codes, and squeue(1) of 22.05.
"""

import re

_REASONS = {
    "None": "the scheduler has not looked at it yet",
    "Priority": "others come first",
    "Resources": "all suitable nodes are in use",
    "Dependency": "another job must end first",
    "DependencyNeverSatisfied": "it depends on a job that failed",
    "BeginTime": "its start time is not reached",
    "JobHeldAdmin": "an administrator of the cluster holds it",
    "JobHeldUser": "it is held",
    "Licenses": "it waits for a licence",
    "ReqNodeNotAvail": "a node that it needs is down, drained or reserved",
    "NodeDown": "a node that it needs is down",
    "Reservation": "its reservation has not begun",
    "ReservationDeleted": "its reservation was deleted",
    "PartitionDown": "its partition is down",
    "PartitionInactive": "its partition takes no jobs now",
    "PartitionNodeLimit": "it asks for more nodes than its partition allows",
    "PartitionTimeLimit": "it asks for more time than its partition allows",
    "PartitionConfig": "it asks for more than its partition has",
    "BadConstraints": "no node can ever have what it asks for",
    "AccountNotAllowed": "its account may not use the partition",
    "InvalidAccount": "its account is not known",
    "InvalidQOS": "its quality of service is not known",
    "QOSNotAllowed": "its quality of service may not be used there",
    "JobArrayTaskLimit": "too many like it run already",
    "MaxGRESPerAccount": "its account uses all the GPUs that it may",
    "BurstBufferResources": "the burst buffer is full",
    "Cleaning": "what ran before is being cleaned up",
    "Prolog": "the node is being prepared",
    "SystemFailure": "the batch system failed",
    "NonZeroExitCode": "its program failed",
    "JobLaunchFailure": "it could not be started on its node",
    "launch failed requeued held": "it could not be started on its node and is held",
    "TimeLimit": "its time was up",
    "OutOfMemory": "it used more memory than it may",
    "NodeFail": "its node failed",
}
# What waiting does not mend.
_HOPELESS = {
    *("BadConstraints", "PartitionNodeLimit", "PartitionTimeLimit", "PartitionConfig", "AccountNotAllowed"),
    *("InvalidAccount", "InvalidQOS", "QOSNotAllowed", "DependencyNeverSatisfied", "ReservationDeleted"),
}
_LIMIT = re.compile(r"(QOS|Assoc|Association)(Grp|Max)?([A-Z][A-Za-z]*?)(Minutes)?(Limit)?$")
_WHAT = {
    "Cpu": "processors",
    "CPU": "processors",
    "Mem": "memory",
    "Memory": "memory",
    "GRES": "GPUs",
    "Node": "nodes",
    "Jobs": "jobs",
    "Job": "jobs",
    "Wall": "time",
    "Submit": "waiting jobs",
}


def is_hopeless(reason: str) -> bool:
    """Tell whether a job that waits for this will never run as it is."""
    return reason.partition(",")[0].strip("() ") in _HOPELESS


def say_reason(reason: str) -> str:
    """Return the reason in words, with no stop: `all suitable nodes are in use (Resources)`."""
    # `ReqNodeNotAvail, UnavailableNodes:n1` and the like: the first word is the reason.
    short = reason.partition(",")[0].strip("() ")
    words = _REASONS.get(short) or _say_limit(short)
    if not short or short == "null":
        return _REASONS["None"]
    return f"{words} ({reason.strip('() ')})" if words else reason.strip("() ")


def _say_limit(reason: str) -> str:
    found = _LIMIT.match(reason)
    if found is None:
        return ""
    what = next((words for mark, words in _WHAT.items() if mark in found[3]), "what it asks for")
    whose = "its quality of service" if found[1] == "QOS" else "its account"
    return f"{whose} uses all of the {what} that it may"
