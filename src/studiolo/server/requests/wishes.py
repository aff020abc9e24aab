"""What people may ask for: a name, with versions or without."""

from packaging.requirements import InvalidRequirement, Requirement

from studiolo.contract.environments import Ecosystem
from studiolo.contract.errors import InvalidInput
from studiolo.packages.names import canonical
from studiolo.packages.policy.decisions import Subject
from studiolo.packages.policy.rules import read_specifier

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
