"""Several documents to one policy: the organisation's first, then what a workspace says of itself.

What a workspace's own people write can only narrow: fewer channels, more that is blocked, the stricter of two switches.
What an administrator writes for a workspace may widen too. Blocked lists add up, unless a variable replaces them.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from studiolo.packages.policy.documents import Document
from studiolo.packages.policy.effective import Grant, Policy
from studiolo.packages.policy.rules import Rule, read_entry

# How two answers to one question make one, where neither may widen the other.
_STRICTER: dict[str, Callable[[Any, Any], Any]] = {
    "mode": lambda one, other: "allowlist" if "allowlist" in (one, other) else "open",
    "transitive": lambda one, other: "explicit" if "explicit" in (one, other) else "closure",
    "on_blocked_dependency": lambda one, other: "fail" if "fail" in (one, other) else "backtrack",
    "wheels_only": lambda one, other: one or other,
    "cooldown_days": max,
    "code_rules": lambda one, other: "guard" if "guard" in (one, other) else "report",
    "dry_run": lambda one, other: one and other,
}
_WIDENING = ("allowlist", "exceptions", "cooldown_exempt_channels")


@dataclass(frozen=True)
class Part:
    """A document beside the organisation's, and whether an administrator wrote it."""

    document: Document
    may_widen: bool


@dataclass(frozen=True)
class Override:
    """A list that a variable of the process puts in place of all written ones."""

    rules: tuple[Rule, ...]
    source: str


def merge(
    organisation: Document,
    parts: Iterable[Part] = (),
    *,
    blocked: Override | None = None,
    startup_blocked: Override | None = None,
    grants: Sequence[Grant] = (),
    base_files: frozenset[str] = frozenset(),
    notes: Sequence[str] = (),
) -> Policy:
    """Return the policy. `organisation` is complete (`over_default`); `notes` are those of whoever found the parts."""
    values = organisation.given()
    sources = dict.fromkeys(values, organisation.source)
    told = list(notes)
    for part in parts:
        _lay_over(values, sources, part, told)
    if blocked is not None:
        values["blocked_packages"], sources["blocked_packages"] = blocked.rules, blocked.source
    if startup_blocked is not None:
        values["startup_blocked_packages"] = startup_blocked.rules
        sources["startup_blocked_packages"] = startup_blocked.source
    exceptions = values.pop("exceptions", ())
    return Policy(
        channels=values.pop("trusted_channels"),
        blocked=_unique(values.pop("blocked_packages")),
        startup_blocked=values.pop("startup_blocked_packages", None) or None,
        grants=(*exceptions, *grants),
        sources=sources,
        notes=tuple(told),
        base_files=base_files,
        **values,
    )


def read_override(text: str, source: str) -> Override:
    """Return the list in a variable: entries between commas. Raises ValueError naming the variable and the entry."""
    try:
        return Override(tuple(read_entry(entry, source) for entry in text.split(",") if entry.strip()), source)
    except ValueError as exc:
        raise ValueError(f"{source}: {exc}") from exc


def _lay_over(values: dict[str, Any], sources: dict[str, str], part: Part, told: list[str]) -> None:
    source = part.document.source
    for key, value in part.document.given().items():
        before = values.get(key)
        if key in _WIDENING and not part.may_widen and not _cannot_widen(key, values):
            told.append(f"{source}: {key} is left out; only an administrator can widen a policy.")
            continue
        if key == "trusted_channels":
            values[key] = value if part.may_widen else _narrowed(source, before or (), value, told)
        elif before is None or (part.may_widen and key in _STRICTER):
            values[key] = value
        elif key in _STRICTER:
            values[key] = _STRICTER[key](before, value)
        else:
            values[key] = tuple(dict.fromkeys((*before, *value)))
        if values[key] != before:
            sources[key] = source


def _cannot_widen(key: str, values: dict[str, Any]) -> bool:
    """Tell whether an allowlist cannot widen: where none is demanded from above, everything is allowed anyway."""
    return key == "allowlist" and values.get("mode") == "open"


def _narrowed(source: str, before: Sequence[str], wanted: Sequence[str], told: list[str]) -> tuple[str, ...]:
    if more := [channel for channel in wanted if channel not in before]:
        told.append(
            f"{source}: {', '.join(more)}: the organisation does not trust it; only an administrator can add it."
        )
    return tuple(channel for channel in wanted if channel in before)


def _unique(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    found: dict[tuple[str, str, str], Rule] = {}
    for rule in rules:
        found.setdefault((rule.kind, rule.name, rule.specifier), rule)
    return tuple(found.values())
