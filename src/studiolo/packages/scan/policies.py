"""What is to be said about the policy itself: what it leaves open, and what of it matches nothing."""

from collections.abc import Iterator

from studiolo.contract.scans import Finding, Place, Severity
from studiolo.packages.aliases import covered_by, same_as
from studiolo.packages.installed.snapshots import Snapshot
from studiolo.packages.names import key
from studiolo.packages.policy.effective import Policy
from studiolo.packages.scan import rules
from studiolo.packages.scan.rules import clipped


def judge_policy(policy: Policy, snapshot: Snapshot) -> Iterator[Finding]:
    """Yield warnings about a policy, seen beside what is installed."""
    place = Place(path="package policy")
    if policy.dry_run:
        what = "The policy is in dry run: it is told and recorded what it would refuse, and nothing is refused"
        yield rules.ALIAS.found(place, what, "dry-run", severity=Severity.MEDIUM, why="Everything passes.")
    for note in policy.notes:
        yield rules.ALIAS.found(place, clipped(note, 400), note, why="A part of the policy was left out.")
    for rule in policy.pins:
        # A block covers all of them; a pin only the other names of the very package.
        open_ones = sorted(covered_by(rule.name) - same_as(rule.name))
        if open_ones:
            yield rules.ALIAS.found(
                place, f"The pin {rule.entry!r} does not hold for {', '.join(open_ones)}", rule.entry
            )
    installed = {key(one.name) for one in snapshot.distributions}
    for part, entries in (("allowlist", policy.allowlist), ("pins", policy.pins)):
        for rule in entries:
            if not same_as(rule.name) & installed:
                yield rules.UNUSED_RULE.found(
                    place, f"{part}: {rule.entry} names nothing that is installed", part, rule.entry
                )
