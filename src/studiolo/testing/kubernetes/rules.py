"""What the API refuses, in its words. Recorded from a real server, 1.36."""

import re
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

from kubernetes_asyncio.client import models

Object = dict[str, Any]
KINDS = {
    "pods": "Pod",
    "secrets": "Secret",
    "events": "Event",
    "persistentvolumeclaims": "PersistentVolumeClaim",
    "resourcequotas": "ResourceQuota",
    "networkpolicies": "NetworkPolicy",
}
_MODELS = {"Event": "CoreV1Event"}
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LABEL = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
_MOST_NAME, _MOST_LABEL = 253, 63
_SUFFIXES = {None: Decimal(1), "m": Decimal("0.001"), "k": Decimal(1000)} | {
    prefix + end: Decimal(base**power)
    for end, base in (("", 1000), ("i", 1024))
    for power, prefix in enumerate("KMGT", start=1)
}
_RFC = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.'"
_QUANTITIES = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"


class RefusalError(Exception):
    """An answer of the API that is no success."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message

    def as_status(self) -> Object:
        """Return the Status object of the answer."""
        head = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
        return {**head, "message": self.message, "reason": self.reason, "code": self.status}


def check(resource: str, item: Object) -> None:
    """Raise RefusalError for an object that cannot be stored: unknown fields, names, labels, quantities."""
    kind = KINDS[resource]
    if unknown := next(_unknown(item, _MODELS.get(kind, f"V1{kind}"), ""), None):
        raise RefusalError(400, "BadRequest", f'strict decoding error: unknown field "{unknown}"')
    metadata = item["metadata"]
    if len(metadata["name"]) > _MOST_NAME or not _NAME.fullmatch(metadata["name"]):
        raise _invalid(kind, item, f'metadata.name: Invalid value: "{metadata["name"]}": {_RFC}')
    for name, value in metadata.get("labels", {}).items():
        if len(value) > _MOST_LABEL or not _LABEL.fullmatch(value):
            raise _invalid(kind, item, f'metadata.labels[{name}]: Invalid value: "{value}": a valid label must be …')
    for container in item.get("spec", {}).get("containers", []) if kind == "Pod" else []:
        for amounts in container.get("resources", {}).values():
            for quantity in amounts.values():
                _parse(quantity)


def check_quota(pod: Object, others: list[Object], quotas: list[Object]) -> None:
    """Raise RefusalError for a pod that a quota does not let in."""
    asked = _charges(pod)
    used = _used(others, asked)
    for quota in quotas:
        hard = {name: (limit, _parse(limit)) for name, limit in quota["spec"]["hard"].items()}
        over = [name for name in sorted(asked) if name in hard and used[name] + asked[name] > hard[name][1]]
        if over:
            told = {
                "requested": ",".join(f"{name}={_plain(asked[name])}" for name in over),
                "used": ",".join(f"{name}={_plain(used[name])}" for name in over),
                "limited": ",".join(f"{name}={hard[name][0]}" for name in over),
            }
            amounts = ", ".join(f"{part}: {text}" for part, text in told.items())
            start = f'pods "{pod["metadata"]["name"]}" is forbidden: exceeded quota'
            raise RefusalError(403, "Forbidden", f"{start}: {quota['metadata']['name']}, {amounts}")


def charge(quota: Object, pods: list[Object]) -> Object:
    """Return a quota with what is in use of it in its status."""
    hard = quota["spec"]["hard"]
    used = {name: _plain(amount) for name, amount in _used(pods, hard).items()}
    return {**quota, "status": {"hard": hard, "used": used}}


def check_security(pod: Object) -> None:
    """Raise RefusalError for what the restricted standard of pod security does not allow."""
    spec, faults = pod["spec"], []
    if not spec.get("securityContext", {}).get("runAsNonRoot"):
        faults.append("runAsNonRoot != true")
    if spec.get("securityContext", {}).get("seccompProfile", {}).get("type") not in ("RuntimeDefault", "Localhost"):
        faults.append("seccompProfile")
    for container in spec.get("containers", []):
        context = container.get("securityContext", {})
        if context.get("allowPrivilegeEscalation") is not False:
            faults.append("allowPrivilegeEscalation != false")
        if context.get("capabilities", {}).get("drop") != ["ALL"]:
            faults.append("unrestricted capabilities")
    if faults:
        message = f'pods "{pod["metadata"]["name"]}" is forbidden: violates PodSecurity "restricted:latest": '
        raise RefusalError(403, "Forbidden", message + ", ".join(faults))


def _unknown(value: Any, kind: str, path: str) -> Iterator[str]:
    """Yield the paths of fields that the API's types do not have."""
    if match := re.fullmatch(r"list\[(.+)\]", kind):
        for number, item in enumerate(value or []):
            yield from _unknown(item, match[1], f"{path}[{number}]")
        return
    model = getattr(models, kind, None)
    if model is None or not isinstance(value, dict):
        return
    known = {name: model.openapi_types[attribute] for attribute, name in model.attribute_map.items()}
    for name, item in value.items():
        inner = f"{path}.{name}" if path else name
        if name not in known:
            yield inner
        else:
            yield from _unknown(item, known[name], inner)


def _used(pods: list[Object], names: Iterable[str]) -> dict[str, Decimal]:
    running = [_charges(pod) for pod in pods if pod.get("status", {}).get("phase") not in ("Succeeded", "Failed")]
    return {name: sum((charges.get(name, Decimal()) for charges in running), Decimal()) for name in names}


def _charges(pod: Object) -> dict[str, Decimal]:
    charges = {"pods": Decimal(1)}
    for container in pod["spec"]["containers"]:
        for kind in ("requests", "limits"):
            for name, quantity in container.get("resources", {}).get(kind, {}).items():
                charges[f"{kind}.{name}"] = charges.get(f"{kind}.{name}", Decimal()) + _parse(quantity)
    return charges


def _parse(quantity: str) -> Decimal:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(m|k|[KMGT]i|[MGT])?", quantity)
    if match is None:
        raise RefusalError(400, "BadRequest", _QUANTITIES)
    return Decimal(match[1]) * _SUFFIXES[match[2]]


def _plain(number: Decimal) -> str:
    return f"{number.normalize():f}"


def _invalid(kind: str, item: Object, fault: str) -> RefusalError:
    return RefusalError(422, "Invalid", f'{kind} "{item["metadata"]["name"]}" is invalid: {fault}')
