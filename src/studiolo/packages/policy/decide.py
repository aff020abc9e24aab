"""The one judgement, pure: asked again at every page, file, plan and scan.

Order: the base's own files (by digest) > channel > blocked > look-alike > internal name > exception > approval
> mode > pins > wheels only > cooldown. An exception is looked for first of all but base, channel and internal name.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from studiolo.packages.names import find_look_alike, key
from studiolo.packages.policy.decisions import ALLOWING_CODES, Decision, Subject, Verdict
from studiolo.packages.policy.effective import Grant, Policy
from studiolo.packages.policy.rules import Rule

_ALLOWED = Decision(Verdict.ALLOW, "allowed", None, None, "Nothing in the policy stands against it.")
_BASE = Decision(Verdict.ALLOW, "base", None, "the workspace's base", "It is part of the workspace's base environment.")
# What guards against foreign code under an own name is no rule that one tries out.
_ALWAYS = ALLOWING_CODES | {"internal-name"}


def decide(policy: Policy, subject: Subject, now: datetime) -> Decision:
    """Return what holds for a project, a version or a file at that time.

    A whole project (no version) is refused where no version of it can pass, and allowed where some may. Call it with
    all that is known: what is None is not judged. Only a file without a time of upload is too new for a cooldown.
    """
    if subject.sha256 is not None and subject.sha256 in policy.base_files:
        return _BASE
    decision = _judge(policy, subject, now)
    if policy.dry_run and decision.code not in _ALWAYS:
        return replace(decision, verdict=Verdict.ALLOW, because=f"Dry run, so it passes: {decision.because}")
    return decision


def _judge(policy: Policy, subject: Subject, now: datetime) -> Decision:
    name = key(subject.name)
    refusal = _judge_channel(policy, subject) or _judge_internal(policy, subject, name)
    if refusal is not None:
        return refusal
    alive = [
        grant
        for grant in policy.grants_by_name.get(name, ())
        if grant.is_alive(now) and grant.ecosystem in (None, subject.ecosystem)
    ]
    exceptions = [grant for grant in alive if grant.kind == "exception"]
    if granted := _first_covering(exceptions, subject):
        return _granted(granted)
    approvals = [grant for grant in alive if grant.kind == "approval"]
    refusal = _judge_blocked(policy, subject, name, partly=bool(exceptions)) or _judge_name(
        policy, subject, name, alive
    )
    if refusal is not None:
        return refusal
    approval = _first_covering(approvals, subject)
    is_one = subject.version is not None or subject.file is not None
    hidden = (
        (None if approval else _judge_approval(policy, subject, name, partly=bool(alive)))
        or (None if approval else _judge_mode(policy, subject, name, partly=bool(alive)))
        or _judge_pins(policy, subject, name, partly=alive)
        or (_judge_form(policy, subject) if is_one else None)
        or (_judge_age(policy, subject, now) if is_one else None)
    )
    return hidden or (_granted(approval) if approval else _ALLOWED)


def _judge_channel(policy: Policy, subject: Subject) -> Decision | None:
    if subject.channel is None or subject.channel in policy.channels:
        return None
    trusted = ", ".join(policy.channels) or "none"
    because = f"{subject.channel} is no trusted channel here; trusted: {trusted}."
    return Decision(
        Verdict.REFUSE, "untrusted-channel", "trusted_channels", _source(policy, "trusted_channels"), because
    )


def _judge_internal(policy: Policy, subject: Subject, name: str) -> Decision | None:
    if subject.channel is None or subject.channel in policy.internal_channels or policy.find_internal(name) is None:
        return None
    because = f"{subject.name} is the organisation's own name: only its own channels may answer for it."
    rule = f"internal_names: {policy.find_internal(name)}"
    return Decision(Verdict.REFUSE, "internal-name", rule, _source(policy, "internal_names"), because)


def _judge_blocked(policy: Policy, subject: Subject, name: str, *, partly: bool) -> Decision | None:
    for rule in policy.blocked_by_name.get(name, ()):
        if rule.versions is None:
            because = f"{subject.name} is blocked{_by_its_other_name(rule, name)}."
            if subject.version is None and partly:
                return None
            return _by_rule(Verdict.HIDE if partly else Verdict.REFUSE, "blocked", "blocked_packages", rule, because)
        if subject.version is not None and rule.covers(subject.version, unreadable=True):
            because = f"{subject.name} {subject.version} is blocked; other versions may pass."
            return _by_rule(Verdict.HIDE, "blocked", "blocked_packages", rule, because)
    return None


def _judge_name(policy: Policy, subject: Subject, name: str, alive: Sequence[Grant]) -> Decision | None:
    """Refuse what looks like a protected name, unless somebody allowed that very name."""
    if alive or name in policy.allowed_by_name or name in policy.blocked_by_name or policy.find_internal(name):
        return None
    other = find_look_alike(name, policy.protected_names)
    if other is None:
        return None
    because = f"{subject.name} can be mistaken for {other}, which the policy names; an approval lets it pass."
    rules = policy.blocked_by_name.get(other)
    source = rules[0].source if rules else _source(policy, "internal_names")
    return Decision(Verdict.REFUSE, "look-alike", other, source, because)


def _judge_approval(policy: Policy, subject: Subject, name: str, *, partly: bool) -> Decision | None:
    for rule in policy.approval_by_name.get(name, ()):
        because = f"{subject.name} needs an approval{_by_its_other_name(rule, name)}."
        if rule.versions is None:
            if subject.version is None and partly:
                return None
            verdict = Verdict.HIDE if partly else Verdict.REFUSE
            return _by_rule(verdict, "approval-required", "approval_required", rule, because)
        if subject.version is not None and rule.covers(subject.version, unreadable=True):
            return _by_rule(Verdict.HIDE, "approval-required", "approval_required", rule, because)
    return None


def _judge_mode(policy: Policy, subject: Subject, name: str, *, partly: bool) -> Decision | None:
    if policy.mode == "open" or name in policy.allowed_by_name or name in policy.closure_names:
        return None
    if partly and subject.version is None:
        return None
    because = f"{subject.name} is not on the allowlist, and only what stands there is allowed here."
    verdict = Verdict.HIDE if partly else Verdict.REFUSE
    return Decision(verdict, "not-allowlisted", "mode: allowlist", _source(policy, "mode"), because)


def _judge_pins(policy: Policy, subject: Subject, name: str, *, partly: Sequence[Grant]) -> Decision | None:
    """Hide versions that no entry of the allowlist and no approval names, or that a pin leaves out."""
    if subject.version is None:
        return None
    version = subject.version
    listed, pins = policy.allowed_by_name.get(name, ()), policy.pins_by_name.get(name, ())
    if not listed and not pins:
        return None
    is_listed = any(rule.covers(version, unreadable=False) for rule in listed)
    if listed and not is_listed and not any(grant.covers(version) for grant in partly):
        return _pinned(subject, "allowlist", listed[0])
    for rule in pins:
        if not rule.covers(version, unreadable=False):
            return _pinned(subject, "pins", rule)
    return None


def _judge_form(policy: Policy, subject: Subject) -> Decision | None:
    if not policy.wheels_only or subject.ecosystem != "pypi" or subject.is_wheel in (None, True):
        return None
    because = "It is a source distribution, which runs code while it is installed; only wheels are allowed here."
    return Decision(Verdict.HIDE, "not-a-wheel", "wheels_only", _source(policy, "wheels_only"), because)


def _judge_age(policy: Policy, subject: Subject, now: datetime) -> Decision | None:
    if not policy.cooldown_days or subject.channel in policy.cooldown_exempt_channels:
        return None
    source, days = _source(policy, "cooldown_days"), policy.cooldown_days
    rule = f"cooldown_days: {days}"
    if subject.uploaded_at is None:
        if subject.file is None:
            return None
        because = f"Its channel does not say when it was uploaded, and files must be {days} days old here."
        return Decision(Verdict.HIDE, "too-new", rule, source, because)
    until = subject.uploaded_at + timedelta(days=days)
    if now >= until:
        return None
    because = f"It was uploaded less than {days} days ago; it passes from {until:%-d %B %Y} on."
    return Decision(Verdict.HIDE, "too-new", rule, source, because, until)


def _first_covering(grants: Sequence[Grant], subject: Subject) -> Grant | None:
    """Return a grant for the subject's version; for a whole project only one that is for all versions."""
    for grant in grants:
        if grant.versions is None or (subject.version is not None and grant.covers(subject.version)):
            return grant
    return None


def _granted(grant: Grant) -> Decision:
    words = "An exception lets it pass" if grant.kind == "exception" else "It was approved"
    entry = f"{grant.name}{grant.specifier}"
    return Decision(Verdict.ALLOW, "granted", entry, grant.by, f"{words}: {grant.reason}", grant.until)


def _pinned(subject: Subject, part: str, rule: Rule) -> Decision:
    because = f"{subject.name} {subject.version} is not among the allowed versions ({rule.entry})."
    return _by_rule(Verdict.HIDE, "pinned", part, rule, because)


def _by_its_other_name(rule: Rule, name: str) -> str:
    return "" if name == rule.name else f": the rule for {rule.entry} covers it"


def _by_rule(verdict: Verdict, code: str, part: str, rule: Rule, because: str) -> Decision:
    return Decision(verdict, code, f"{part}: {rule.entry}", rule.source, because)


def _source(policy: Policy, part: str) -> str | None:
    return policy.sources.get(part)
