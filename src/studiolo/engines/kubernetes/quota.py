"""What a namespace's quotas allow, and in words what they refuse. Pure."""

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from studiolo.engines.kubernetes.names import amount

_GIB = 1024**3
_PART = re.compile(r"(requested|used|limited): ((?:[\w./-]+=[^,\s]+,?)+)")
_WORDS = {"cpu": "processors", "memory": "memory", "storage": "storage", "pods": "pods"}


class Share(NamedTuple):
    """What may be used of a resource, and how much of that nobody can have any more."""

    total: float
    taken: float


def least(quotas: Iterable[dict[str, Any]], *resources: str) -> Share | None:
    """Return the least that any quota allows of one of the `resources`, and leaves of it; None without such a quota."""
    totals, rests = [], []
    for quota in quotas:
        status = quota.get("status") or {}
        hard = status.get("hard") or (quota.get("spec") or {}).get("hard") or {}
        used = status.get("used") or {}
        for name in filter(hard.__contains__, resources):
            totals.append(amount(hard[name]))
            rests.append(max(0.0, amount(hard[name]) - amount(used.get(name, "0"))))
    if not totals:
        return None
    total = min(totals)
    return Share(total, total - min(total, *rests))


def explain(message: str) -> str:
    """Return what "exceeded quota: …" says, as a sentence with its numbers.

    Source: the API's answer, `exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2`.
    """
    parts = {
        part: dict(pair.split("=", 1) for pair in pairs.strip(",").split(",")) for part, pairs in _PART.findall(message)
    }
    requested, used, limited = (parts.get(part, {}) for part in ("requested", "used", "limited"))
    told = [
        f"{_amount(name, used.get(name, '0'))} of {_amount(name, limited[name])} {_word(name)} "
        f"{'are' if _word(name).endswith('s') else 'is'} in use and the session asks for {_amount(name, asked)}"
        for name, asked in requested.items()
        if name in limited
    ]
    return f"The cluster has no room within the namespace's quota: {'; '.join(told) or message.rstrip('.')}."


def _word(resource: str) -> str:
    name = resource.removeprefix("requests.").removeprefix("limits.")
    return "GPUs" if name.endswith("/gpu") else _WORDS.get(name, name)


def _amount(resource: str, quantity: str) -> str:
    try:
        value = amount(quantity)
    except ValueError:
        return quantity
    is_size = any(kind in resource for kind in ("memory", "storage"))
    return f"{value / _GIB:g} GiB" if is_size else f"{value:g}"
