"""What a policy says of a whole closure, and why each package is in it; pure."""

from collections import deque
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from packaging.requirements import Requirement

from studiolo.contract.environments import Ecosystem, Plan, PlannedPackage, PlanNode, Violation
from studiolo.packages.policy.decide import decide
from studiolo.packages.policy.decisions import Decision, Subject, Verdict
from studiolo.packages.policy.effective import Policy
from studiolo.server.environments.installing import Resolved

_THERE = Decision(Verdict.ALLOW, "allowed", None, None, "The environment has it already.")


class WhatIsThere(Protocol):
    """Versions that an environment holds, by canonical name."""

    def get(self, name: str, /) -> str | None:
        """Return the version, or None."""
        ...


def judge(
    closure: Sequence[Resolved], present: WhatIsThere, policy: Policy | None, ecosystem: Ecosystem, now: datetime
) -> list[PlannedPackage]:
    """Judge each package of a closure; what the environment has in that version is fetched from nowhere, and stays."""
    return [_judge_one(one, present.get(one.name) == one.version, policy, ecosystem, now) for one in closure]


def explained(
    packages: Sequence[PlannedPackage],
    via: Mapping[str, Sequence[str]],
    asked: Sequence[str],
    passing: Mapping[str, Sequence[str]],
) -> Plan:
    """Return the plan with each package's place in it. `via`: who needs it; `asked`: names asked for directly."""
    placed = [one.model_copy(update={"via": list(via.get(one.name, ()))}) for one in packages]
    paths = _paths(asked, via)
    violations = [
        Violation(**one.model_dump(), path=paths.get(one.name, [one.name]), passing=list(passing.get(one.name, ())))
        for one in placed
        if one.verdict != "allow"
    ]
    return Plan(packages=placed, violations=violations, tree=_grow(placed, via, asked))


def names_of(specs: Sequence[str]) -> list[str]:
    """The names that specs ask for, in their order."""
    return list(dict.fromkeys(Requirement(spec).name for spec in specs))


def limits_of(policy: Policy | None, asked: Sequence[str]) -> list[str]:
    """Return what the policy's pins and allowlist leave of versions, as specs: resolvers choose within them.

    Those that have an exception are left out; it may be about a version outside.
    """
    if policy is None or policy.dry_run:
        return []
    lifted = {grant.name for grant in policy.grants}
    return [
        f"{rule.name}{rule.specifier}"
        for rule in (*policy.pins, *(rule for rule in policy.allowlist if _is_alone(rule.name, policy)))
        if rule.kind == "distribution" and rule.specifier and rule.name not in lifted
    ]


def not_after(policy: Policy | None, now: datetime) -> datetime | None:
    """Return when files must have been uploaded at the latest; None where the policy says nothing of it."""
    if policy is None or policy.dry_run or not policy.cooldown_days:
        return None
    return now - timedelta(days=policy.cooldown_days)


def _is_alone(name: str, policy: Policy) -> bool:
    # Two entries of one name allow either; a resolver would want both to hold.
    return len(policy.allowed_by_name.get(name, ())) == 1


def _judge_one(
    one: Resolved, is_there: bool, policy: Policy | None, ecosystem: Ecosystem, now: datetime
) -> PlannedPackage:
    subject = Subject(
        ecosystem, one.name, one.version, one.file, one.channel, one.uploaded_at, one.is_wheel, one.sha256
    )
    found = _THERE if is_there or policy is None else decide(policy, subject, now)
    return PlannedPackage(
        ecosystem=ecosystem,
        name=one.name,
        version=one.version,
        file=one.file,
        sha256=one.sha256,
        channel=one.channel,
        is_there=is_there,
        verdict=found.verdict.value,
        code=found.code,
        rule=found.rule,
        source=found.source,
        because=found.because,
    )


def _paths(asked: Sequence[str], via: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """The shortest way from something asked for to each package."""
    needs = _turned(via)
    paths, waiting = {name: [name] for name in asked}, deque(asked)
    while waiting:
        here = waiting.popleft()
        for name in needs.get(here, ()):
            if name not in paths:
                paths[name] = [*paths[here], name]
                waiting.append(name)
    return paths


def _grow(packages: Sequence[PlannedPackage], via: Mapping[str, Sequence[str]], asked: Sequence[str]) -> list[PlanNode]:
    known, needs, shown = {one.name: one for one in packages}, _turned(via), set[str]()

    def node(name: str) -> PlanNode:
        one, first = known[name], name not in shown
        shown.add(name)
        below = [node(inner) for inner in needs.get(name, ()) if inner in known] if first else []
        return PlanNode(name=name, version=one.version, verdict=one.verdict, is_there=one.is_there, needs=below)

    return [node(name) for name in asked if name in known]


def _turned(via: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    needs: dict[str, list[str]] = {}
    for name in sorted(via):
        for by in via[name]:
            needs.setdefault(by, []).append(name)
    return needs
