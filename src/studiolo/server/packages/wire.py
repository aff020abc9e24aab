"""Policies as the wire has them."""

from collections.abc import Iterable

from sqlalchemy import RowMapping

from studiolo.contract.models import PersonRef
from studiolo.contract.policies import EffectivePolicy, Judgement, PolicyGrant, PolicyRevision, PolicyRule
from studiolo.packages.policy.decisions import Decision, Subject
from studiolo.packages.policy.effective import Policy
from studiolo.packages.policy.rules import Rule, describe_limits


def effective_wire(
    policy: Policy, *, number: int, workspace: str | None, revision: PolicyRevision | None, document: str
) -> EffectivePolicy:
    """Return what holds in a workspace (its name), or (None) on the platform."""
    return EffectivePolicy(
        scope="workspace" if workspace else "platform",
        workspace=workspace,
        number=number,
        hash=policy.hash,
        trusted_channels=list(policy.channels),
        internal_names=list(policy.internal_names),
        blocked_packages=_rules(policy.blocked),
        approval_required=_rules(policy.approval_required),
        allowlist=_rules(policy.allowlist),
        pins=_rules(policy.pins),
        grants=[
            PolicyGrant(
                id=grant.id,
                kind=grant.kind,
                ecosystem=grant.ecosystem,
                name=grant.name,
                specifier=grant.specifier,
                reason=grant.reason,
                by=grant.by,
                until=grant.until,
            )
            for grant in policy.grants
        ],
        mode=policy.mode,
        transitive=policy.transitive,
        on_blocked_dependency=policy.on_blocked_dependency,
        wheels_only=policy.wheels_only,
        cooldown_days=policy.cooldown_days,
        cooldown_exempt_channels=list(policy.cooldown_exempt_channels),
        startup_blocked_packages=None if policy.startup_blocked is None else _rules(policy.startup_blocked),
        code_rules=policy.code_rules,
        dry_run=policy.dry_run,
        sources=dict(policy.sources),
        notes=list(policy.notes),
        revision=revision,
        document=document,
    )


def revision_wire(row: RowMapping) -> PolicyRevision:
    """Return a revision."""
    maker = PersonRef(id=row["made_by"], name=row["maker"], display_name=row["maker_display"]) if row["maker"] else None
    return PolicyRevision(
        number=row["number"], document=row["document"], note=row["note"], made_by=maker, made_at=row["made_at"]
    )


def judgement_wire(subject: Subject, decision: Decision) -> Judgement:
    """Return what was decided of a subject."""
    return Judgement(
        ecosystem=subject.ecosystem,
        name=subject.name,
        version=subject.version,
        verdict=decision.verdict.value,
        code=decision.code,
        rule=decision.rule,
        source=decision.source,
        because=decision.because,
        until=decision.until,
        is_only_told=decision.is_only_told,
    )


def _rules(rules: Iterable[Rule]) -> list[PolicyRule]:
    return [
        PolicyRule(entry=rule.entry, kind=rule.kind, source=rule.source, limits=describe_limits(rule)) for rule in rules
    ]
