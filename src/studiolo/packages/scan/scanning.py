"""A whole scan: the pieces of work in their order, each on its own in a limited process, and what comes of all."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from studiolo.contract.scans import Coverage, Finding, Place, ScannedPackage, VulnerabilityData
from studiolo.packages.installed.reading import read_environment
from studiolo.packages.policy.effective import Policy
from studiolo.packages.scan import drift, osv, rules
from studiolo.packages.scan.environment import gather_proofs, judge_environment, list_packages, refusals
from studiolo.packages.scan.files import Reader
from studiolo.packages.scan.grounds import Grounds
from studiolo.packages.scan.job import ScanJob, ScanOutcome
from studiolo.packages.scan.limited import Done, Work, do_all
from studiolo.packages.scan.policies import judge_policy
from studiolo.packages.scan.secrets import Keyed
from studiolo.packages.scan.vulnerabilities import judge_vulnerabilities
from studiolo.packages.scan.walking import File, Walk, read_file, shown

_ENVIRONMENT_SECONDS = 240.0
_VULNERABILITY_SECONDS = 240.0
_FILE_SECONDS = 20.0
_MOST_FINDINGS = 5_000
_TELL_SECONDS = 0.2
_ENVIRONMENT, _VULNERABILITIES = "environment", "vulnerabilities"
_LOST = {
    "memory": "It needs more memory than there is for one file",
    "time": "It takes longer than there is time for one file",
    "died": "The process that read it died",
    "failed": "It cannot be read",
}


def scan(job: ScanJob, tell: Callable[[str, int], None], log: Callable[[str], None]) -> ScanOutcome:
    """Scan a workspace. `tell(phase, percent)`: how far it is; `log`: what a piece of work died of."""
    policy = Policy.from_json(job.policy)
    grounds = _grounds(job, policy)
    reader = Reader(job.root, grounds, Keyed(bytes.fromhex(job.key)))
    walk = Walk(job.root)
    tell("Listing files", 0)
    files = [file for file in walk.files() if reader.wants(file)]
    gathered = _Gathered(walk.skipped, len(files), sum(file.path.endswith(".ipynb") for file in files))
    gathered.take(walk.findings)
    gathered.take(_judge_settings(job, grounds))
    works = [
        Work(_ENVIRONMENT, partial(_do_environment, job, policy), _ENVIRONMENT_SECONDS),
        Work(_VULNERABILITIES, partial(_do_vulnerabilities, job), _VULNERABILITY_SECONDS),
        *(Work(file.path, partial(_do_file, reader, file), _FILE_SECONDS) for file in files),
    ]
    told_at = 0.0
    for number, done in enumerate(do_all(works, until=time.monotonic() + job.seconds), 1):
        gathered.add(done)
        if done.lost is not None:
            log(f"{shown(done.work.name)}: {done.lost} {done.detail}")
        if time.monotonic() - told_at > _TELL_SECONDS:
            told_at = time.monotonic()
            # The environment takes as long as some hundred files.
            tell(_phase(works, number), min(99, 100 * (number + 100) // (len(works) + 100)))
    return gathered.outcome()


def _phase(works: list[Work], done: int) -> str:
    if done >= len(works):
        return "Writing the report"
    name = works[done].name
    words = {_ENVIRONMENT: "Looking at what is installed", _VULNERABILITIES: "Looking vulnerabilities up"}
    return words.get(name, f"Reading {shown(name)}")


def _grounds(job: ScanJob, policy: Policy) -> Grounds:
    return Grounds(
        modules=frozenset(rule.name for rule in policy.code if rule.kind == "module"),
        calls=frozenset(rule.name for rule in policy.code if rule.kind == "call"),
        refusal=refusals(policy, job.now),
        block=refusals(policy, job.now, "blocked"),
        indexes=frozenset(host.lower() for host in job.indexes),
        channels=frozenset(channel.lower() for channel in policy.channels),
    )


def _judge_settings(job: ScanJob, grounds: Grounds) -> Iterator[Finding]:
    yield from drift.judge_variables(job.variables.items(), Place(path="workspace settings"), grounds)
    folders = [(folder, "people's settings") for folder in job.settings_folders]
    for folder, words in [*folders, (job.prefix, "environment")]:
        # Of an environment only what lies at its top.
        for file in Walk(folder).files() if words != "environment" else _top_files(folder):
            if drift.is_settings(file.path):
                yield from _judge_setting(folder, file, words, grounds)


def _judge_setting(folder: Path, file: File, words: str, grounds: Grounds) -> Iterator[Finding]:
    place = Place(path=f"{words}: {shown(file.path)}")
    try:
        text = read_file(folder, file.path, 1 << 20).decode(errors="replace")
    except OSError as exc:
        yield rules.UNREADABLE.found(place, f"It cannot be read: {exc.strerror}", "open")
        return
    yield from drift.judge_settings(text, file.path, place, grounds)


def _top_files(prefix: Path) -> list[File]:
    names = ("pip.conf", "uv.toml", ".condarc", "condarc", ".mambarc")
    return [File(name, 0) for name in names if (prefix / name).is_file() and not (prefix / name).is_symlink()]


def _do_environment(job: ScanJob, policy: Policy) -> dict[str, Any]:
    if not job.prefix.exists():
        # It is made when something is first started there.
        return {"findings": []}
    snapshot = read_environment(job.prefix)
    proofs = gather_proofs(job.bases, job.deliveries)
    found = [*judge_environment(job.prefix, snapshot, proofs, policy, job.now), *judge_policy(policy, snapshot)]
    return {
        "findings": _plain(found),
        "packages": [package.model_dump(mode="json") for package in list_packages(snapshot, proofs)],
    }


def _do_vulnerabilities(job: ScanJob) -> dict[str, Any]:
    index, unusable = None, None
    if job.osv_export is not None:
        try:
            osv.bring_up_to_date(job.osv_export, job.osv_index)
            index = job.osv_index
        except osv.ExportUnusable as exc:
            unusable = rules.NOT_LOOKED_UP.found(
                Place(), f"The mounted vulnerability data cannot be used: {exc}", "unusable"
            )
    judged = judge_vulnerabilities(read_environment(job.prefix).distributions, index, job.now)
    found = judged.findings if unusable is None else [unusable]
    return {"findings": _plain(found), "data": judged.data.model_dump(mode="json") if judged.data else None}


def _do_file(reader: Reader, file: File) -> dict[str, Any]:
    return {"findings": _plain(reader.judge(file))}


def _plain(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    return [finding.model_dump(mode="json") for finding in findings]


@dataclass(slots=True)
class _Gathered:
    skipped: list[str]
    files: int
    notebooks: int
    found: dict[str, Finding] = field(default_factory=dict)
    packages: list[ScannedPackage] = field(default_factory=list)
    data: VulnerabilityData | None = None
    not_reached: int = 0

    def take(self, findings: Iterable[Finding]) -> None:
        for finding in findings:
            self.found.setdefault(finding.id, finding)

    def add(self, done: Done) -> None:
        if done.lost == "skipped":
            self.not_reached += 1
        elif done.lost is not None:
            self.take([_lost(done)])
        else:
            self.take(Finding.model_validate(one) for one in done.result["findings"])
            self.packages += [ScannedPackage.model_validate(one) for one in done.result.get("packages", ())]
            if done.result.get("data"):
                self.data = VulnerabilityData.model_validate(done.result["data"])

    def outcome(self) -> ScanOutcome:
        if self.not_reached:
            what = f"{self.not_reached} files or parts were not read before the scan's time was over"
            self.take([rules.INCOMPLETE.found(Place(path="."), what, "time")])
        ordered = sorted(self.found.values(), key=_order)
        if len(ordered) > _MOST_FINDINGS:
            what = f"{len(ordered)} findings; the worst {_MOST_FINDINGS} are kept"
            ordered = [rules.INCOMPLETE.found(Place(path="."), what, "kept"), *ordered[:_MOST_FINDINGS]]
        coverage = Coverage(
            packages=len(self.packages),
            files=self.files,
            notebooks=self.notebooks,
            skipped_folders=self.skipped[:100],
            vulnerabilities=self.data,
        )
        return ScanOutcome(findings=ordered, coverage=coverage, packages=self.packages)


def _lost(done: Done) -> Finding:
    what = _LOST[done.lost or "failed"]
    if done.work.name == _ENVIRONMENT:
        return rules.ENVIRONMENT_UNREADABLE.found(Place(), what, "lost")
    if done.work.name == _VULNERABILITIES:
        return rules.NOT_LOOKED_UP.found(Place(), what, "lost")
    return rules.UNREADABLE.found(Place(path=shown(done.work.name)), what, "lost")


def _order(finding: Finding) -> tuple[int, str, str, int, int]:
    place = finding.place
    return (-finding.severity.rank, finding.rule, place.path or "", place.cell_number or 0, place.line or 0)
