"""What a policy lets through of a project's files."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from studiolo.packages.index.projects import File, Project
from studiolo.packages.policy.decide import decide
from studiolo.packages.policy.decisions import Decision, Subject, Verdict
from studiolo.packages.policy.effective import Policy
from studiolo.packages.policy.rules import read_version

# Tools tell of all of them when they find nothing: what people ask for is mostly among the newest.
_MOST_LEFT_OUT = 20
_CHANGED = Decision(
    Verdict.REFUSE,
    "hash-changed",
    None,
    None,
    "The file is not what it was when it was first delivered here: its channel lists another digest for it.",
)


@dataclass(frozen=True, slots=True)
class Judged:
    """A page as one workspace sees it. `listed`: files that resolvers see, each with why it is refused, or None.

    `left_out`: a file of each version that they do not see, with why, newest first. `until`: when it may look otherwise
    by the clock alone; None: never.
    """

    listed: tuple[tuple[File, Decision | None], ...]
    left_out: tuple[tuple[File, Decision], ...]
    until: datetime | None


def judge_page(policy: Policy, project: Project, known: Mapping[str, str], now: datetime) -> Judged:
    """Judge each file of a project's page. `known`: file name → SHA-256 of what was delivered before.

    A project that is refused keeps all its files, refused, so that no tool takes an older dependant instead; so does
    one of which the policy would leave nothing.
    """
    found = list(judge_files(policy, project, project.files, known, now))
    backtracks = policy.on_blocked_dependency == "backtrack"
    hidden = (Verdict.HIDE, Verdict.REFUSE) if backtracks else (Verdict.HIDE,)
    listed = [(file, decision) for file, decision in found if decision.verdict not in hidden]
    if not listed and not backtracks:
        listed = found
    seen = tuple((file, None if decision.is_allowed else decision) for file, decision in listed)
    return Judged(
        seen,
        tuple(_left_out(found, {file.version for file, _ in listed})),
        _end(policy, project, (decision for _, decision in found), now),
    )


def _left_out(found: Iterable[tuple[File, Decision]], seen: Collection[str]) -> list[tuple[File, Decision]]:
    """A wheel says more than a source distribution; a version that has none is of interest only while it is new."""
    versions: dict[str, tuple[File, Decision]] = {}
    for file, decision in found:
        if file.version not in seen and (file.version not in versions or file.is_wheel):
            versions[file.version] = file, decision
    if not versions:
        return []
    newest = max((parsed for version in seen if (parsed := read_version(version)) is not None), default=None)
    known = {
        version: parsed
        for version, (file, _) in versions.items()
        if (parsed := read_version(version)) is not None and (file.is_wheel or newest is None or parsed > newest)
    }
    return [versions[version] for version in sorted(known, key=known.__getitem__, reverse=True)[:_MOST_LEFT_OUT]]


def judge_files(
    policy: Policy, project: Project, files: Collection[File], known: Mapping[str, str], now: datetime
) -> Iterator[tuple[File, Decision]]:
    """Judge some files of a project: what is refused as a whole is so in each of its files, but the base's own.

    A file without a digest gets the one that is known of it.
    """
    whole = decide(policy, Subject("pypi", project.name, channel=project.channel), now)
    # Thousands of files share few versions; all else of a subject is the project's.
    of_version: dict[tuple[str, bool, str | None], Decision] = {}
    for file in (listed._replace(sha256=listed.sha256 or known.get(listed.name)) for listed in files):
        if known.get(file.name, file.sha256) != file.sha256:
            yield file, _CHANGED
        elif file.sha256 in policy.base_files:
            yield file, decide(policy, file.subject(project.name, project.channel), now)
        elif not whole.is_allowed:
            yield file, whole
        else:
            which = (file.version, file.is_wheel, file.uploaded_at if policy.cooldown_days else None)
            decision = of_version.get(which)
            if decision is None:
                decision = of_version[which] = decide(policy, file.subject(project.name, project.channel), now)
            yield file, decision


def _end(policy: Policy, project: Project, decisions: Iterable[Decision], now: datetime) -> datetime | None:
    """When the clock changes something: a file is old enough, or a grant ends."""
    times = {decision.until for decision in decisions}
    times |= {grant.until for grant in policy.grants_by_name.get(project.name, ())}
    return min((time for time in times if time is not None and time > now), default=None)
