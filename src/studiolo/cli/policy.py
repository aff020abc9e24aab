"""Commands on package policies: the organisation's with --platform, else a workspace's."""

import difflib
import sys
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from studiolo.cli.arguments import complete_workspaces
from studiolo.cli.invocation import connect
from studiolo.cli.output import ago, emit, harmless, print_fields, say
from studiolo.cli.tables import print_table
from studiolo.contract.errors import InvalidInput
from studiolo.contract.policies import (
    EffectivePolicy,
    Judgement,
    PolicyGrant,
    PolicyOutlook,
    PolicyRevision,
    PolicyRule,
)

WhereArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="[WORKSPACE]",
        help="Its name, owner/name or id.",
        autocompletion=complete_workspaces,
        show_default=False,
    ),
]
PlatformOption = Annotated[bool, typer.Option("--platform", help="The organisation's policy, for all workspaces.")]
FileArgument = Annotated[
    Path, typer.Argument(metavar="FILE", help="A workspace-security.yaml; - reads stdin.", show_default=False)
]
_VERDICTS = {"allow": "allowed", "hide": "hidden", "refuse": "refused"}


def show(
    workspace: WhereArgument = None,
    platform: PlatformOption = False,
    source: Annotated[bool, typer.Option("--source", help="Write the text to edit, and nothing else.")] = False,
) -> None:
    """Show the policy that holds, and where each part of it comes from.

    \b
    Examples:
      studiolo policy show churn
      studiolo policy show --platform --source > workspace-security.yaml
    """
    where = _where(workspace, platform)
    with connect() as client:
        found = client.policies.get(where)
    emit(found, lambda: print(found.document, end="") if source else _print_policy(found))


def set_(
    file: FileArgument,
    workspace: WhereArgument = None,
    platform: PlatformOption = False,
    note: Annotated[str, typer.Option("--note", metavar="TEXT", help="Why, for those who read the history.")] = "",
) -> None:
    """Set a policy from a file. A bad entry refuses the whole, and is named with its line.

    \b
    Examples:
      studiolo policy set workspace-security.yaml churn --note "no pickles from outside"
      studiolo policy set organisation.yaml --platform
    """
    where, text = _where(workspace, platform), _read(file)
    with connect() as client:
        made = client.policies.set(text, where, note=note)
    revision = made.revision.number if made.revision else 0
    emit(made, lambda: print(f"Set revision {revision} {_of(made)}; policy {made.number} holds from now on."))
    _say_limits(made)


def history(
    workspace: WhereArgument = None,
    platform: PlatformOption = False,
    diff: Annotated[bool, typer.Option("--diff", help="Show what each revision changed.")] = False,
) -> None:
    """List the revisions of a policy, the latest first."""
    where = _where(workspace, platform)
    with connect() as client:
        found = list(client.policies.history(where, page_size=200))
    emit(found, lambda: _print_history(found, diff=diff))


def what_if(file: FileArgument, workspace: WhereArgument = None, platform: PlatformOption = False) -> None:
    """Show what a policy would change for packages that are installed or asked for; nothing is set."""
    where, text = _where(workspace, platform), _read(file)
    with connect() as client:
        found = client.policies.what_if(text, where)
    emit(found, lambda: _print_outlook(found))


def check(
    workspace: Annotated[
        str, typer.Argument(metavar="WORKSPACE", help="Its name, owner/name or id.", autocompletion=complete_workspaces)
    ],
    package: Annotated[str, typer.Argument(metavar="PACKAGE", help="A name, or NAME==VERSION.", show_default=False)],
    conda: Annotated[bool, typer.Option("--conda", help="The package of a conda channel.")] = False,
) -> None:
    """Show what a workspace's policy says of a package, by its name alone.

    Nothing is looked up, and what it needs is not judged: `studiolo check-package` does that.
    The exit code is 0 for allowed, 4 for refused or hidden.
    """
    name, _, version = package.partition("==")
    with connect() as client:
        found = client.policies.check(
            name.strip(), workspace, version=version.strip() or None, ecosystem="conda" if conda else "pypi"
        )
    emit(found, lambda: _print_judgement(found))
    if found.verdict != "allow":
        raise typer.Exit(4)


def revoke(
    grant: Annotated[str, typer.Argument(metavar="GRANT", help="Id of an approval or exception.", show_default=False)],
) -> None:
    """Take an approval or an exception back (administrators). What is installed stays until somebody removes it."""
    with connect() as client:
        client.policies.revoke(grant)
    emit({"grant": grant, "revoked": True}, lambda: print(f"Took {grant} back."))


def _where(workspace: str | None, platform: bool) -> str | None:
    if (workspace is None) == platform:
        return workspace
    hint = "Name a workspace, or give --platform for the organisation's policy."
    raise InvalidInput("usage-invalid", "Whose policy is meant?", hint=hint)


def _read(file: Path) -> str:
    try:
        return sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        reason = getattr(exc, "strerror", None) or "it is not UTF-8"
        raise InvalidInput(
            "usage-invalid", f"{str(file)!r} cannot be read: {reason}.", hint="Name a text file."
        ) from exc


def _of(policy: EffectivePolicy) -> str:
    return f"of {policy.workspace}'s policy" if policy.workspace else "of the organisation's policy"


def _print_policy(policy: EffectivePolicy) -> None:
    switches = [
        f"mode {policy.mode}",
        "wheels only" if policy.wheels_only else "source distributions too",
        f"cooldown {policy.cooldown_days} days" if policy.cooldown_days else "no cooldown",
        f"code rules {policy.code_rules}",
    ]
    startup = policy.startup_blocked_packages
    print_fields(
        [
            ("Policy", f"{policy.number}{' of ' + policy.workspace if policy.workspace else ' of the organisation'}"),
            ("Dry run", "yes: what would be refused passes, and is told" if policy.dry_run else ""),
            ("Channels", ", ".join(policy.trusted_channels) or "none"),
            ("Rules", ", ".join(switches)),
            ("Internal", ", ".join(policy.internal_names)),
            ("At start", ", ".join(rule.entry for rule in startup) if startup else "nothing is looked for"),
        ]
    )
    parts = (
        ("blocked", policy.blocked_packages),
        ("approval", policy.approval_required),
        ("allowed", policy.allowlist),
        ("pinned", policy.pins),
    )
    rows = [(word, rule.entry, rule.source) for word, rules in parts for rule in rules]
    rows += [(one.kind, f"{one.name}{one.specifier}", f"{one.by}: {one.reason}{_end_of(one)}") for one in policy.grants]
    print()
    print_table(("RULE!", "PACKAGE!", "FROM"), rows, empty="No rules.")
    _say_limits(policy)


def _end_of(grant: PolicyGrant) -> str:
    # A day that was named ends at the next one's midnight.
    until = f", until {grant.until - timedelta(seconds=1):%-d %B %Y}" if grant.until else ""
    return f"{until} ({grant.id})" if grant.id else until


def _say_limits(policy: EffectivePolicy) -> None:
    rules: list[PolicyRule] = policy.blocked_packages
    # Several rules may have the same.
    for line in dict.fromkeys([*policy.notes, *(rule.limits for rule in rules if rule.limits)]):
        say(line)


def _print_history(revisions: list[PolicyRevision], *, diff: bool) -> None:
    rows = [(str(one.number), ago(one.made_at), one.made_by.name if one.made_by else "", one.note) for one in revisions]
    print_table(
        ("REVISION!", "SET!", "BY!", "NOTE"), rows, empty="Nobody has set a policy here; what is above it holds."
    )
    for later, earlier in zip(revisions, [*revisions[1:], None], strict=True) if diff else ():
        before = earlier.document.splitlines() if earlier else []
        names = (f"revision {earlier.number}" if earlier else "nothing", f"revision {later.number}")
        print()
        for line in difflib.unified_diff(before, later.document.splitlines(), *names, lineterm=""):
            print(harmless(line))


def _print_outlook(outlook: PolicyOutlook) -> None:
    rows = [
        (
            one.workspace or "",
            one.where,
            _package(one.after),
            f"{_word(one.before)} → {_word(one.after)}",
            one.after.because,
        )
        for one in outlook.changes
    ]
    headers = ("WORKSPACE!", "HAS IT!", "PACKAGE!", "CHANGE!", "BECAUSE")
    print_table(headers, rows, empty=f"No answer changes for {outlook.packages} packages.")
    for note in outlook.notes:
        say(note)


def _print_judgement(found: Judgement) -> None:
    print_fields(
        [
            ("Package", _package(found)),
            ("Verdict", f"{_word(found)} ({found.code})"),
            ("Rule", found.rule or ""),
            ("From", found.source or ""),
            ("Because", found.because),
            ("Until", f"{found.until:%-d %B %Y}" if found.until else ""),
        ]
    )


def _package(found: Judgement) -> str:
    return f"{found.name}=={found.version}" if found.version else found.name


def _word(found: Judgement) -> str:
    return "told only" if found.is_only_told else _VERDICTS[found.verdict]
