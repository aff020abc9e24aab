"""A policy as somebody writes it: `workspace-security.yaml`, and an organisation's policy in the same words.

```yaml
package_management:
  trusted_channels: [conda-forge, internal]     # ordered: the first that has a name owns it
  internal_names: ["acme-*"]                    # only channels of the organisation's own answer for these
  blocked_packages: [urllib3, "six==1.17.0", socket, os.system]
  approval_required: [tensorflow, pytorch]
  allowlist: [numpy, "pandas<3"]
  pins: ["numpy==1.26.4"]
  mode: open                                    # or allowlist
  transitive: closure                           # or explicit: what an allowed package needs is judged by itself
  on_blocked_dependency: fail                   # or backtrack
  wheels_only: true
  cooldown_days: 7
  cooldown_exempt_channels: [internal]
  startup_blocked_packages: [httpx]             # or "off"
  code_rules: report                            # or guard
  dry_run: false
  exceptions: [{spec: six==1.17.0, by: Mia, until: 2026-12-01, reason: "…"}]
```
"""

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from studiolo.contract.errors import InvalidInput
from studiolo.kit.marked_yaml import Faults, UnreadableYAML, compose, read_entries, read_list, read_text
from studiolo.packages.policy.effective import Grant
from studiolo.packages.policy.rules import Rule, read_channel, read_entry, read_pattern

_TOP = "package_management"
_MOST_ENTRIES = 1000
_MOST_FAULTS = 50
_LONGEST_COOLDOWN_DAYS = 3650
_WORDS = {
    "mode": ("open", "allowlist"),
    "transitive": ("closure", "explicit"),
    "on_blocked_dependency": ("fail", "backtrack"),
    "code_rules": ("report", "guard"),
}


@dataclass(frozen=True)
class Document:
    """What one source says, by its keys; None is what it leaves out. `source`: what it is called towards people."""

    source: str
    trusted_channels: tuple[str, ...] | None = None
    internal_names: tuple[str, ...] | None = None
    blocked_packages: tuple[Rule, ...] | None = None
    approval_required: tuple[Rule, ...] | None = None
    allowlist: tuple[Rule, ...] | None = None
    pins: tuple[Rule, ...] | None = None
    mode: str | None = None
    transitive: str | None = None
    on_blocked_dependency: str | None = None
    wheels_only: bool | None = None
    cooldown_days: int | None = None
    cooldown_exempt_channels: tuple[str, ...] | None = None
    startup_blocked_packages: tuple[Rule, ...] | None = None
    code_rules: str | None = None
    dry_run: bool | None = None
    exceptions: tuple[Grant, ...] | None = field(default=None)

    def given(self) -> dict[str, Any]:
        """Return what it says, by key."""
        named = ((f.name, getattr(self, f.name)) for f in fields(self) if f.name != "source")
        return {name: value for name, value in named if value is not None}


def read_document(
    content: str | bytes, source: str, *, file: str = "workspace-security.yaml", now: datetime | None = None
) -> Document:
    """Return what a file says. Raises InvalidInput (`policy-invalid`) with all faults: `errors: [{location, line,
    column, message}]`; the first stands in the message.

    `now`: an exception that has ended by then is a fault, as it is in what somebody sets; what stands ends by itself.
    """
    faults = Faults()
    try:
        sections = dict(read_entries(compose(content), "", faults, known=(_TOP,)))
    except UnreadableYAML as exc:
        raise _invalid([exc.fault], file) from exc
    readers = _readers(source, faults, now)
    nodes = dict(read_entries(sections.get(_TOP), _TOP, faults, known=readers))
    values = {name: readers[name](node, f"{_TOP}.{name}") for name, node in nodes.items()}
    if faults:
        raise _invalid(faults.in_order(), file)
    return Document(source, **values)


def read_default_text() -> str:
    """Return the text of the product's own policy."""
    return (files("studiolo.packages.policy") / "default.yaml").read_text(encoding="utf-8")


@cache
def default_document() -> Document:
    """Return the product's own policy."""
    return read_document(read_default_text(), "the product's default policy")


def over_default(document: Document) -> Document:
    """Return an organisation's policy, completed by the product's for the keys that it leaves out."""
    return replace(default_document(), source=document.source, **document.given())


def _readers(source: str, faults: Faults, now: datetime | None) -> dict[str, Callable[[yaml.Node, str], Any]]:
    def of_list(read: Callable[[str], Any], example: str) -> Callable[[yaml.Node, str], Any]:
        def listed(node: yaml.Node, location: str) -> tuple[Any, ...] | None:
            items = read_list(node, location, faults, most=_MOST_ENTRIES, example=example)
            return None if items is None else tuple(read_text(item, where, faults, read) for where, item in items)

        return listed

    def of_text(read: Callable[[str], Any]) -> Callable[[yaml.Node, str], Any]:
        return lambda node, location: read_text(node, location, faults, read)

    def entry(text: str) -> Rule:
        return read_entry(text, source)

    def distribution(text: str) -> Rule:
        rule = read_entry(text, source)
        if rule.kind != "distribution":
            raise ValueError(f"{text!r} is a {rule.kind} of the standard library, not a package")
        return rule

    def pin(text: str) -> Rule:
        if not (rule := distribution(text)).specifier:
            raise ValueError(f"{text!r} names no versions; write one such as {text}==1.2.3")
        return rule

    channels, packages = of_list(read_channel, "[conda-forge]"), of_list(distribution, "[numpy, 'pandas<3']")

    def at_startup(node: yaml.Node, location: str) -> Any:
        if isinstance(node, yaml.ScalarNode):
            return read_text(node, location, faults, _read_off)
        return packages(node, location)

    def exceptions(node: yaml.Node, location: str) -> tuple[Grant, ...] | None:
        items = read_list(node, location, faults, most=_MOST_ENTRIES, example="[{spec: …, until: …, reason: …}]")
        found = [_read_exception(item, where, source, faults, now) for where, item in items or ()]
        return tuple(grant for grant in found if grant is not None)

    return {
        "trusted_channels": channels,
        "internal_names": of_list(read_pattern, '["acme-*"]'),
        "blocked_packages": of_list(entry, "[urllib3]"),
        "approval_required": packages,
        "allowlist": packages,
        "pins": of_list(pin, "[numpy==1.26.4]"),
        **{name: of_text(_one_of(words)) for name, words in _WORDS.items()},
        "wheels_only": of_text(_read_switch),
        "cooldown_days": of_text(_read_days),
        "cooldown_exempt_channels": channels,
        "startup_blocked_packages": at_startup,
        "dry_run": of_text(_read_switch),
        "exceptions": exceptions,
    }


def _read_exception(node: yaml.Node, location: str, source: str, faults: Faults, now: datetime | None) -> Grant | None:
    def end(text: str) -> datetime:
        until = read_end(text)
        if now is not None and until <= now:
            raise ValueError(f"{text[:40]!r} is past; name a later day, or take the exception out")
        return until

    nodes = dict(read_entries(node, location, faults, known=("spec", "by", "until", "reason")))
    for name in ("spec", "until", "reason"):
        if name not in nodes:
            faults.add(node.start_mark, location, f"has no {name}; an exception says spec, until and reason")
    rule = read_text(nodes.get("spec"), f"{location}.spec", faults, lambda text: read_entry(text, source))
    until = read_text(nodes.get("until"), f"{location}.until", faults, end)
    reason = read_text(nodes.get("reason"), f"{location}.reason", faults, _read_sentence)
    by = read_text(nodes.get("by"), f"{location}.by", faults, _read_sentence)
    if rule is None or until is None or reason is None:
        return None
    return Grant("exception", None, rule.name, rule.specifier, reason, f"{source}, by {by}" if by else source, until)


def read_end(text: str) -> datetime:
    """Return when something ends: a day (it holds until that is over, UTC) or a time with its zone; ValueError else."""
    try:
        try:
            return datetime.combine(date.fromisoformat(text.strip()), time(), UTC) + timedelta(days=1)
        except ValueError:
            end = datetime.fromisoformat(text.strip())
        if end.tzinfo is not None:
            return end.astimezone(UTC)
    except ValueError as exc:
        raise ValueError(f"{text[:40]!r} is no day; write one as 2026-12-01") from exc
    except OverflowError as exc:
        raise ValueError(f"{text[:40]!r} is out of range; write a day of this century, as 2026-12-01") from exc
    raise ValueError(f"{text[:40]!r} has no zone; write 2026-12-01 or 2026-12-01T12:00:00+00:00")


def _one_of(words: tuple[str, ...]) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in words:
            raise ValueError(f"{text[:40]!r} is not possible; write {' or '.join(words)}")
        return text

    return read


def _read_switch(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError(f"{text[:40]!r} is not possible; write true or false")
    return text == "true"


def _read_days(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 4 or int(text) > _LONGEST_COOLDOWN_DAYS:
        raise ValueError(f"{text[:40]!r} is no number of days: write a whole one from 0 to {_LONGEST_COOLDOWN_DAYS}")
    return int(text)


def _read_off(text: str) -> tuple[Rule, ...]:
    if text != "off":
        raise ValueError(f"{text[:40]!r} is not possible; write off, or a list of packages")
    return ()


def _read_sentence(text: str) -> str:
    if not text.strip() or len(text) > 500 or not text.isprintable():
        raise ValueError("must be one line of at most 500 characters")
    return text.strip()


def _invalid(faults: list[dict[str, Any]], file: str) -> InvalidInput:
    first = faults[0]
    key = f"{first['location']} " if first["location"] else ""
    more = f" {len(faults) - 1} more {'is' if len(faults) == 2 else 'are'} wrong." if len(faults) > 1 else ""
    message = f"{file}, line {first['line']}, column {first['column']}: {key}{first['message']}"
    return InvalidInput(
        "policy-invalid",
        f"{message.rstrip('.')}{'' if message.endswith('?') else '.'}{more}",
        hint="The policy stays as it was." + (" `errors` lists each fault with its line." if more else ""),
        errors=faults[:_MOST_FAULTS],
    )
