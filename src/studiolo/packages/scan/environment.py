"""What is to be said about an environment: where its packages come from, and whether the policy still lets them in."""

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Literal

from studiolo.contract.scans import Finding, Place, ScannedPackage, Severity
from studiolo.packages.installed.handles import list_folder, opened, opened_below
from studiolo.packages.installed.reading import find_sites, read_environment
from studiolo.packages.installed.snapshots import Distribution, Snapshot
from studiolo.packages.installed.verifying import find_modified
from studiolo.packages.names import key
from studiolo.packages.policy.decide import decide
from studiolo.packages.policy.decisions import ALLOWING_CODES, Subject, Verdict
from studiolo.packages.policy.effective import Policy
from studiolo.packages.scan import rules
from studiolo.packages.scan.rules import clipped
from studiolo.packages.scan.walking import shown

_VENDORING = frozenset(
    {"_vendor", "vendor", "_vendored", "vendored", "_vendored_packages", "externals", "extern", "packages"}
)
_VENDOR_DEPTH = 3
_MOST_NAMED = 5
_UNREADABLE = frozenset(
    {"record-missing", "record-unreadable", "record-outside", "metadata-unreadable", "name-differs"}
)
_START_HOOKS = (".pth", "sitecustomize.py", "usercustomize.py")


@dataclass(frozen=True, slots=True)
class Delivery:
    """A file that the index handed to this workspace, from the ledger."""

    ecosystem: Literal["pypi", "conda"]
    name: str
    version: str
    file: str
    channel: str
    sha256: str
    fingerprint: str | None


@dataclass(frozen=True, slots=True)
class Proofs:
    """What proves where files come from: the bases' own content, and what was delivered to this workspace."""

    base_digests: frozenset[str]
    base_orphans: frozenset[tuple[str, str | None]]
    base_vendored: frozenset[str]
    bases: tuple[tuple[Path, Snapshot], ...]
    by_fingerprint: Mapping[str, Delivery]
    by_sha256: Mapping[str, Delivery]

    def delivery_of(self, one: Distribution) -> Delivery | None:
        """Return the delivery that an installed distribution's files are those of, None for none."""
        if one.ecosystem == "conda":
            return self.by_sha256.get(one.sha256 or "")
        return self.by_fingerprint.get(one.fingerprint or "")

    def modified_in_base(self, one: Distribution) -> frozenset[str]:
        """Return which files of a distribution differ from its RECORD in a base already: its build did that."""
        found: set[str] = set()
        for base, snapshot in self.bases:
            same = tuple(other for other in snapshot.distributions if other.digest == one.digest)
            found |= {modified.path for modified in find_modified(base, replace(snapshot, distributions=same))}
        return frozenset(found)

    def is_of_base(self, one: Distribution) -> bool:
        """Tell whether a base of the platform has exactly this distribution."""
        return one.digest is not None and one.digest in self.base_digests


def gather_proofs(bases: Iterable[Path], deliveries: Iterable[Delivery]) -> Proofs:
    """Read the bases and order the deliveries. Blocking: less than a second for a base."""
    kept = list(deliveries)
    digests: set[str] = set()
    orphans: set[tuple[str, str | None]] = set()
    vendored: set[str] = set()
    read = tuple((base, read_environment(base)) for base in bases)
    for base, snapshot in read:
        digests |= {one.digest for one in snapshot.distributions if one.digest}
        orphans |= {(orphan.path, orphan.digest) for orphan in snapshot.orphans}
        vendored |= set(find_vendored(base))
    return Proofs(
        base_digests=frozenset(digests),
        base_orphans=frozenset(orphans),
        base_vendored=frozenset(vendored),
        bases=read,
        by_fingerprint={one.fingerprint: one for one in kept if one.fingerprint},
        by_sha256={one.sha256: one for one in kept},
    )


def list_packages(snapshot: Snapshot, proofs: Proofs) -> list[ScannedPackage]:
    """Return what is installed, each with where it comes from."""
    found = []
    for one in snapshot.distributions:
        delivery = proofs.delivery_of(one)
        origin: Literal["base", "index", "unproven"] = (
            "base" if proofs.is_of_base(one) else "index" if delivery is not None else "unproven"
        )
        sha256 = delivery.sha256 if delivery is not None else None
        found.append(
            ScannedPackage(ecosystem=one.ecosystem, name=one.name, version=one.version, origin=origin, sha256=sha256)
        )
    return found


def judge_environment(
    prefix: Path, snapshot: Snapshot, proofs: Proofs, policy: Policy, now: datetime
) -> Iterator[Finding]:
    """Yield what is to be said about what is installed. Blocking: every file is hashed."""
    for one in snapshot.distributions:
        place = _place(one)
        if not proofs.is_of_base(one):
            if proofs.delivery_of(one) is None:
                yield rules.UNVERIFIED.found(place, _told_origin(one), one.digest or "")
            yield from _judge_by_policy(one, place, proofs, policy, now)
    yield from _judge_modified(prefix, snapshot, proofs)
    for orphan in snapshot.orphans:
        if (orphan.path, orphan.digest) not in proofs.base_orphans:
            rule = rules.START_HOOK if orphan.path.endswith(_START_HOOKS) else rules.ORPHAN
            yield rule.found(Place(path=shown(orphan.path)), f"{clipped(shown(orphan.path))} belongs to no package")
    for odd in snapshot.findings:
        rule = rules.UNREADABLE_PACKAGE if odd.kind in _UNREADABLE else rules.ENVIRONMENT_UNREADABLE
        severity = Severity.LOW if odd.kind == "twice" else None
        yield rule.found(Place(path=shown(odd.path)), clipped(odd.text), odd.kind, severity=severity)
    block = refusals(policy, now, "blocked")
    for path in find_vendored(prefix):
        name = path.rpartition("/")[2].removesuffix(".py")
        if path not in proofs.base_vendored and (entry := block(name)) is not None:
            yield rules.VENDORED.found(Place(path=path), f"{path} is a copy of {name}, refused by the rule {entry!r}")


def refusals(policy: Policy, now: datetime, *codes: str) -> Callable[[str], str | None]:
    """Return what tells the rule that refuses a package as a whole, by its name on PyPI; None where some may pass.

    `codes`: of the decisions that count; none given: all. Each name is judged once.
    """

    @functools.cache
    def ask(name: str) -> str | None:
        decision = decide(policy, Subject("pypi", key(name)), now)
        counts = decision.code in codes if codes else decision.code not in ALLOWING_CODES
        return (decision.rule or decision.code) if counts else None

    return ask


def find_vendored(prefix: Path) -> list[str]:
    """Return what lies in folders for copies of other packages, as paths in site-packages (`pip/_vendor/requests`)."""
    found: list[str] = []
    for site in find_sites(prefix):
        try:
            with opened(prefix) as top, opened_below(top, tuple(site.split("/"))) as folder:
                _look_for_vendored(folder, "", 1, found)
        except OSError:
            # The reading of the environment has told that it cannot be read.
            continue
    return sorted(set(found))


def _look_for_vendored(folder: int, before: str, depth: int, found: list[str]) -> None:
    for entry in list_folder(folder):
        if not entry.is_dir(follow_symlinks=False) or entry.name == "__pycache__":
            continue
        try:
            with opened(entry.name, folder) as inner:
                path = f"{before}{entry.name}/"
                if before and entry.name in _VENDORING:
                    names = [one.name for one in list_folder(inner) if not one.name.startswith((".", "_"))]
                    found += [path + name for name in names if "." not in name or name.endswith(".py")]
                elif depth < _VENDOR_DEPTH:
                    _look_for_vendored(inner, path, depth + 1, found)
        except OSError:
            continue


def _judge_by_policy(
    one: Distribution, place: Place, proofs: Proofs, policy: Policy, now: datetime
) -> Iterator[Finding]:
    delivery = proofs.delivery_of(one)
    subject = Subject(
        one.ecosystem,
        one.name,
        version=one.version,
        channel=delivery.channel if delivery else None,
        is_wheel=delivery.file.endswith(".whl") if delivery and one.ecosystem == "pypi" else None,
        sha256=delivery.sha256 if delivery else None,
    )
    decision = decide(policy, subject, now)
    if decision.code in ALLOWING_CODES:
        return
    # A dry run lets everything pass and says what it would have refused.
    is_refused = decision.verdict is Verdict.REFUSE or (policy.dry_run and decision.code in ("blocked", "look-alike"))
    rule = rules.BLOCKED if is_refused else rules.HIDDEN_VERSION
    rest = (
        f" ({decision.rule}; {decision.source})" if decision.source else f" ({decision.rule})" if decision.rule else ""
    )
    severity = Severity.LOW if policy.dry_run else None
    yield rule.found(place, clipped(decision.because + rest, 400), decision.code, severity=severity)


def _judge_modified(prefix: Path, snapshot: Snapshot, proofs: Proofs) -> Iterator[Finding]:
    for one, group in groupby(find_modified(prefix, snapshot), key=lambda found: found.distribution):
        built_so = proofs.modified_in_base(one)
        paths = [f"{found.path} ({found.how})" for found in group if found.path not in built_so]
        if paths:
            shown_ones = ", ".join(paths[:_MOST_NAMED]) + (
                f" and {len(paths) - _MOST_NAMED} more" if paths[_MOST_NAMED:] else ""
            )
            yield rules.MODIFIED.found(
                _place(one), clipped(f"{len(paths)} of its files differ: {shown_ones}", 600), "files"
            )


def _place(one: Distribution) -> Place:
    return Place(package=f"{one.name} {one.version}")


def _told_origin(one: Distribution) -> str:
    hints = [f"INSTALLER says {one.installer}"] if one.installer else ["no installer left its name"]
    if one.direct_url:
        hints.append(f"direct_url.json says {clipped(one.direct_url.rpartition('@')[2], 80)}")
    return f"{one.name} {one.version} was not delivered to this workspace ({'; '.join(hints)})"
