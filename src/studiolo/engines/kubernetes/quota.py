"""What a namespace's quotas allow, and in words what they refuse. Pure."""

import re
from collections.abc import Iterable
from typing import Any

from studiolo.engines.kubernetes.names import amount

_GIB = 1024**3
_PART = re.compile(r"(requested|used|limited): ((?:[\w./-]+=[^,\s]+,?)+)")
_WORDS = {"cpu": "processors", "memory": "memory", "storage": "storage", "pods": "pods"}


def least(quotas: Iterable[dict[str, Any]], *resources: str) -> float | None:
    """Return the least that any quota allows of one of the `resources`; None without such a quota."""
    hard = [quota.get("status", {}).get("hard") or quota.get("spec", {}).get("hard", {}) for quota in quotas]
    amounts = [amount(limits[name]) for limits in hard for name in resources if name in limits]
    return min(amounts, default=None)


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
