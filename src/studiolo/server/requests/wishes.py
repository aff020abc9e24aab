"""What people may ask for: a name, with versions or without."""

from collections.abc import Sequence
from datetime import datetime

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet

from studiolo.contract.environments import Ecosystem
from studiolo.contract.errors import InvalidInput
from studiolo.packages.names import canonical
from studiolo.packages.policy.decide import decide
from studiolo.packages.policy.decisions import Decision, Subject
from studiolo.packages.policy.effective import Policy
from studiolo.packages.policy.rules import read_specifier, read_version

_HINT = "Write a name, or a name with versions: torch, 'torch==2.9.0', 'pandas>=2,<3'."


def read_wish(text: str, ecosystem: Ecosystem) -> tuple[str, str]:
    """Return canonical name and versions (PEP 440, empty for any) of what somebody wrote; extras do not count.

    Raises InvalidInput (`package-invalid`), also for addresses, paths and conditions.
    """
    text = text.strip()
    name, mark, versions = text.partition("=") if ecosystem == "conda" and "==" not in text else (text, "", "")
    try:
        if mark and not name.endswith(("<", ">", "!", "~")):
            return canonical(ecosystem, name), read_specifier(f"={versions}")
        found = Requirement(text)
        if found.url or found.marker:
            raise ValueError("addresses and conditions are no packages")
        return canonical(ecosystem, found.name), str(found.specifier)
    except InvalidRequirement as exc:
        raise InvalidInput("package-invalid", f"{text[:80]!r} names no package.", hint=_HINT) from exc
    except ValueError as exc:
        raise InvalidInput("package-invalid", f"{text[:80]!r} names no package: {exc}.", hint=_HINT) from exc


def read_versions(text: str) -> str:
    """Return versions as a decision names them; a bare version means exactly it. Raises InvalidInput."""
    text = text.strip()
    try:
        return read_specifier(f"=={text}" if text[:1].isdigit() else text)
    except ValueError as exc:
        raise InvalidInput("request-invalid", f"Version: {exc}.", hint="For example 2.9.0, '<3' or '>=2,<3'.") from exc


def subject_of(ecosystem: Ecosystem, name: str, specifier: str) -> Subject:
    """Return what a policy judges: one version where exactly one is wished for, else the whole project."""
    exact = specifier.removeprefix("==")
    is_one = specifier.startswith("==") and exact[:1].isdigit() and not set(exact) & set(",*")
    return Subject(ecosystem, name, version=exact if is_one else None)


def judge_files(policy: Policy, files: Sequence[Subject], specifier: str, now: datetime) -> Decision | None:
    """Return what a policy says of the files that a wish is about: allowed if one of them passes, else the word on the
    newest, of a wheel where there is one; None where there are none."""
    versions = SpecifierSet(specifier)
    known = [(parsed, one) for one in files if (parsed := read_version(one.version or "")) is not None]
    meant = [(parsed, one) for parsed, one in known if versions.contains(parsed, prereleases=True)]
    meant.sort(key=lambda found: (found[0], bool(found[1].is_wheel)), reverse=True)
    decisions = [decide(policy, one, now) for _, one in meant]
    return next((one for one in decisions if one.is_allowed), decisions[0] if decisions else None)
