"""The look at an environment before a session starts in it: is anything there that the policy lists for that?"""

from collections.abc import Iterable
from dataclasses import dataclass

from studiolo.packages.aliases import covered_by
from studiolo.packages.installed.snapshots import Snapshot
from studiolo.packages.names import key
from studiolo.packages.policy.rules import Rule


@dataclass(frozen=True, slots=True)
class Listed:
    """An installed package that a rule of the start-up scan lists. `entry`: the rule as somebody wrote it."""

    name: str
    version: str
    entry: str
    source: str


def find_listed(snapshot: Snapshot, rules: Iterable[Rule]) -> list[Listed]:
    """Return the installed packages that `rules` (`Policy.startup_blocked`) list, by name; pure.

    A rule covers the other names of a package too; a version that cannot be read counts as listed. Calls name no
    package, and a module's name is looked for as a package's.
    """
    found: dict[tuple[str, str], Listed] = {}
    for rule in rules:
        names = covered_by(rule.name) if rule.kind != "call" else frozenset()
        for one in snapshot.distributions:
            if key(one.name) in names and rule.covers(one.version, unreadable=True):
                found.setdefault((one.name, one.version), Listed(one.name, one.version, rule.entry, rule.source))
    return [found[where] for where in sorted(found)]
