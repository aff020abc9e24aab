"""Names, labels and amounts as Kubernetes writes them. Pure; people's text goes in, only what is allowed comes out."""

import hashlib
import math
import re
import unicodedata

DOMAIN = "studiolo.dev"
INSTANCE = f"{DOMAIN}/instance"
WORKLOAD = f"{DOMAIN}/workload"
LAUNCH = f"{DOMAIN}/launch"
WORKSPACE = f"{DOMAIN}/workspace"
MANAGED = {"app.kubernetes.io/managed-by": "studiolo"}
# An annotation of a launch's Secret: its Exit as JSON, once the launch is over.
ENDED = f"{DOMAIN}/ended"
# An annotation of a pod: hash of the lock that it makes its environment from, if it makes one.
RECIPE = f"{DOMAIN}/recipe"
# The volume of a pod that holds the workspace's files, as the seed's template calls it.
WORKSPACE_VOLUME = "workspace"
# Of a pod's container: the kernel host beside the server.
KERNELS_PORT = "kernels"

_LABEL_LENGTH = 63
_DIGEST_LENGTH = 10
_MIB = 1024**2


def slug(text: str, *, length: int = 24) -> str:
    """Return a DNS label of at most `length` made of the ASCII letters and digits in `text`; `x` if there are none.

    Source: RFC 1123; Kubernetes, "Object Names and IDs".
    """
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:length].strip("-") or "x"


def label(text: str) -> str:
    """Return a valid value of a label near to `text`; empty if nothing of it can stay.

    Source: Kubernetes, "Labels and Selectors": 63 of [A-Za-z0-9._-], ends alphanumeric.
    """
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")[:_LABEL_LENGTH].rstrip("-._")


def digest(text: str) -> str:
    """Return a short name that no other text has."""
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_LENGTH]


def of_launch(instance: str, workload_id: str, launch: int) -> dict[str, str]:
    """Return the labels by which the objects of a launch are found."""
    return {INSTANCE: instance, WORKLOAD: workload_id, LAUNCH: str(launch)}


def pod_name(person: str, workload_id: str, launch: int) -> str:
    """Return `jupyter-<person>-<session>-<launch>`."""
    return f"jupyter-{slug(person)}-{workload_id}-{launch}"


def secret_name(workload_id: str, launch: int) -> str:
    """Return the name of the Secret that stands for a launch: whoever makes it has taken the launch's number."""
    return f"launch-{workload_id}-{launch}"


def policy_name(workload_id: str) -> str:
    """Return the name of a session's NetworkPolicy."""
    return f"session-{workload_id}"


def claim_name(workspace: str, owner: str) -> str:
    """Return `workspace-<slug>-<digest>`: two people's workspaces of one name, or two platforms', have a claim each."""
    return f"workspace-{slug(workspace)}-{digest(owner)}"


def cpu(processors: float) -> str:
    """Return processors as a quantity: `2`, `500m`."""
    milli = max(1, round(processors * 1000))
    return str(milli // 1000) if milli % 1000 == 0 else f"{milli}m"


def mebibytes(size_bytes: int) -> str:
    """Return bytes as a quantity in Mi, rounded up."""
    return f"{math.ceil(size_bytes / _MIB)}Mi"


_SUFFIXES: dict[str, float] = (
    {"m": 1e-3, "u": 1e-6, "n": 1e-9}
    | {
        prefix + end: float(base ** (power + 1))
        for end, base in (("", 1000), ("i", 1024))
        for power, prefix in enumerate("KMGTPE")
    }
    | {"k": 1000}
)
_QUANTITY = re.compile(r"([+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?)([A-Za-z]*)")


def amount(quantity: str | float) -> float:
    """Return what a quantity stands for: processors, bytes or a number. Raises ValueError.

    Source: Kubernetes, "Quantity": decimal number, exponent or suffix.
    """
    found = _QUANTITY.fullmatch(str(quantity))
    if not found or (found[2] and found[2] not in _SUFFIXES):
        raise ValueError(f"not a quantity: {quantity!r}")
    return float(found[1]) * _SUFFIXES.get(found[2], 1)
