"""The policy that holds for a workspace: immutable, and known by the hash of what it says."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from functools import cached_property, lru_cache
from typing import Any, Literal

from packaging.specifiers import SpecifierSet

from studiolo.packages.aliases import covered_by, same_as
from studiolo.packages.policy.decisions import Ecosystem
from studiolo.packages.policy.rules import Rule, read_version

# Channels that anybody may publish in; every other trusted one is the organisation's own.
PUBLIC_CHANNELS = frozenset(
    {"anaconda", "bioconda", "conda-forge", "defaults", "main", "nvidia", "pypi", "pytorch", "r"}
)


@dataclass(frozen=True)
class Grant:
    """What somebody allowed beside the rules. An `exception` lifts every rule but those on channels and internal names;
    an `approval` stands for an entry of the allowlist and lifts `approval_required`.

    `ecosystem` None: both. `by`: who granted it, for people. `until`: its end, aware.
    """

    kind: Literal["approval", "exception"]
    ecosystem: Ecosystem | None
    name: str
    specifier: str
    reason: str
    by: str
    until: datetime | None = None
    id: str | None = None

    @cached_property
    def versions(self) -> SpecifierSet | None:
        """The versions that it is about; None for all."""
        return SpecifierSet(self.specifier) if self.specifier else None

    def is_alive(self, now: datetime) -> bool:
        """Tell whether it holds at that time."""
        return self.until is None or now < self.until

    def covers(self, version: str) -> bool:
        """Tell whether it is about that version; what cannot be read is not covered, unless all are."""
        if self.versions is None:
            return True
        parsed = read_version(version)
        return parsed is not None and self.versions.contains(parsed, prereleases=True)


@dataclass(frozen=True)
class Policy:
    """All that holds for a workspace.

    `channels`: trusted, the first that has a name owns it. `internal_names`: keys, or beginnings with `*`, that only
    the organisation's own channels may answer. `blocked` holds module and call rules too (`code`). `approval_required`,
    `allowlist`, `pins`: distributions only. `transitive`: whether what an allowlisted package needs is allowed with
    it; `closure` are the keys of that. `startup_blocked`: what an environment may not hold when a session starts; None:
    nobody looks.
    `base_files`: SHA-256 of the files of the base's own lock. `notes`: what was left out when it was made, and why.
    """

    channels: tuple[str, ...] = ()
    internal_names: tuple[str, ...] = ()
    blocked: tuple[Rule, ...] = ()
    approval_required: tuple[Rule, ...] = ()
    allowlist: tuple[Rule, ...] = ()
    pins: tuple[Rule, ...] = ()
    grants: tuple[Grant, ...] = ()
    mode: Literal["open", "allowlist"] = "open"
    transitive: Literal["closure", "explicit"] = "closure"
    on_blocked_dependency: Literal["fail", "backtrack"] = "fail"
    wheels_only: bool = True
    cooldown_days: int = 0
    cooldown_exempt_channels: tuple[str, ...] = ()
    code_rules: Literal["report", "guard"] = "report"
    dry_run: bool = False
    startup_blocked: tuple[Rule, ...] | None = None
    sources: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    closure: tuple[str, ...] = ()
    base_files: frozenset[str] = frozenset()

    @cached_property
    def hash(self) -> str:
        """SHA-256, hexadecimal, of all it says; the base's files count by their digest."""
        return hashlib.sha256(self.to_json(with_base_files=False).encode()).hexdigest()

    def to_json(self, *, with_base_files: bool = True) -> str:
        """Return the canonical JSON; without the base's files, which are many, `base` names them by their digest."""
        document = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "base_files"}
        document["base"] = digest_of(self.base_files)
        if with_base_files:
            document["base_files"] = sorted(self.base_files)
        return json.dumps(document, default=_plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str | bytes, *, base_files: frozenset[str] = frozenset()) -> "Policy":
        """Return what `to_json` wrote; `base_files` are taken where the text names them by their digest alone.

        Raises ValueError for anything else, and where those files are not the ones meant.
        """
        document = dict(json.loads(text))
        base, files = document.pop("base"), frozenset(document.pop("base_files", base_files))
        if digest_of(files) != base:
            raise ValueError("the base's files are not those that this policy was made with")
        for name in ("blocked", "approval_required", "allowlist", "pins", "startup_blocked"):
            if document.get(name) is not None:
                document[name] = tuple(Rule(**one) for one in document[name])
        document["grants"] = tuple(
            Grant(**{**one, "until": datetime.fromisoformat(one["until"]) if one["until"] else None})
            for one in document["grants"]
        )
        for name in ("channels", "internal_names", "cooldown_exempt_channels", "notes", "closure"):
            document[name] = tuple(document[name])
        return cls(**document, base_files=files)

    @cached_property
    def code(self) -> tuple[Rule, ...]:
        """The rules on modules and calls, which are about code and not about packages."""
        return tuple(rule for rule in self.blocked if rule.kind != "distribution")

    @cached_property
    def closure_roots(self) -> tuple[str, ...]:
        """The allowlist as specs, where what they need is allowed with them; else nothing."""
        if self.mode == "open" or self.transitive == "explicit":
            return ()
        return tuple(sorted(f"{rule.name}{rule.specifier}" for rule in self.allowlist))

    @cached_property
    def closure_names(self) -> frozenset[str]:
        """The keys of what the allowlist needs."""
        return frozenset(self.closure)

    @property
    def internal_channels(self) -> frozenset[str]:
        """The trusted channels in which not just anybody publishes."""
        return frozenset(self.channels) - PUBLIC_CHANNELS

    @cached_property
    def protected_names(self) -> tuple[str, ...]:
        """The names that others may not look like: blocked packages, and internal ones that are written out."""
        blocked = (rule.name for rule in self.blocked if rule.kind == "distribution")
        return tuple(dict.fromkeys((*blocked, *(name for name in self.internal_names if not name.endswith("*")))))

    @cached_property
    def blocked_by_name(self) -> Mapping[str, tuple[Rule, ...]]:
        """Key of a distribution → the rules that block it or versions of it."""
        return _by_name((rule for rule in self.blocked if rule.kind != "call"), covers=covered_by)

    @cached_property
    def approval_by_name(self) -> Mapping[str, tuple[Rule, ...]]:
        """Key of a distribution → the rules that ask for an approval of it or of versions of it."""
        return _by_name(self.approval_required, covers=covered_by)

    @cached_property
    def allowed_by_name(self) -> Mapping[str, tuple[Rule, ...]]:
        """Key of a distribution → the entries of the allowlist that name it."""
        return _by_name(self.allowlist, covers=same_as)

    @cached_property
    def pins_by_name(self) -> Mapping[str, tuple[Rule, ...]]:
        """Key of a distribution → the pins that name it."""
        return _by_name(self.pins, covers=same_as)

    @cached_property
    def grants_by_name(self) -> Mapping[str, tuple[Grant, ...]]:
        """Key of a distribution → what was granted for it, ended or not."""
        found: dict[str, tuple[Grant, ...]] = {}
        for grant in self.grants:
            for name in same_as(grant.name):
                found[name] = (*found.get(name, ()), grant)
        return found

    def find_internal(self, name: str) -> str | None:
        """Return the internal name or pattern that a key falls under: only the organisation's channels may answer."""
        return next((one for one in self.internal_names if _matches(one, name)), None)


@lru_cache(maxsize=64)
def digest_of(files: frozenset[str]) -> str:
    """Return the SHA-256, hexadecimal, of a set of files' SHA-256."""
    return hashlib.sha256("\n".join(sorted(files)).encode()).hexdigest()


def _matches(pattern: str, name: str) -> bool:
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern


def _by_name(rules: Iterable[Rule], *, covers: Any) -> Mapping[str, tuple[Rule, ...]]:
    found: dict[str, tuple[Rule, ...]] = {}
    for rule in rules:
        for name in covers(rule.name):
            found[name] = (*found.get(name, ()), rule)
    return found


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else asdict(value)
