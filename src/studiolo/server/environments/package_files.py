"""Files that list packages, read into specs: requirements.txt, pyproject.toml, environment.yml, PEP 723 scripts.

Only lists of packages are taken over: an option that leads elsewhere, an address or a file is an error that is named.
"""

import re
import tomllib
from dataclasses import dataclass, field
from typing import Any

import yaml
from packaging.requirements import InvalidRequirement, Requirement

from studiolo.contract.environments import PackageFile
from studiolo.contract.errors import InvalidInput, StudioloError
from studiolo.server.environments.specs import read_spec

# Source: PEP 723, "reference implementation".
_SCRIPT = re.compile(r"(?m)^# /// (?P<type>[a-zA-Z0-9-]+)$\s(?P<content>(^#(| .*)$\s)+)^# ///$")
_HASH = re.compile(r"\s+--hash=\S+")
_COMMENT = re.compile(r"(^|\s)#.*$")


@dataclass(frozen=True, slots=True)
class Listed:
    """What a file lists. `pypi` and `conda`: specs; `channels`: of conda, in their order."""

    pypi: list[str] = field(default_factory=list)
    conda: list[str] = field(default_factory=list)
    channels: list[str] = field(default_factory=list)


def read_file(file: PackageFile) -> Listed:
    """Return what a file lists. Raises InvalidInput (`package-file-invalid`) naming the entry or line."""
    suffix = file.name.rpartition(".")[2].lower()
    readers = {"txt": _requirements, "in": _requirements, "toml": _pyproject, "py": _script}
    readers |= dict.fromkeys(("yml", "yaml"), _environment)
    if suffix not in readers:
        raise _invalid(
            file,
            "is no list of packages that is known",
            hint="requirements.txt, pyproject.toml, environment.yml, and .py files with PEP 723 metadata are.",
        )
    try:
        return readers[suffix](file)
    except (tomllib.TOMLDecodeError, yaml.YAMLError, RecursionError) as exc:
        raise _invalid(file, f"cannot be read: {str(exc).splitlines()[0] if str(exc) else 'it is too deep'}") from exc


def _requirements(file: PackageFile) -> Listed:
    lines = file.text.replace("\\\r\n", " ").replace("\\\n", " ").splitlines()
    kept = [_HASH.sub("", _COMMENT.sub("", line)).strip() for line in lines]
    return Listed(pypi=_specs(file, [line for line in kept if line]))


def _pyproject(file: PackageFile) -> Listed:
    return Listed(pypi=_dependencies(file, tomllib.loads(file.text).get("project")))


def _script(file: PackageFile) -> Listed:
    found = [match for match in _SCRIPT.finditer(file.text) if match["type"] == "script"]
    if len(found) != 1:
        raise _invalid(file, "has no block of metadata (`# /// script`), or several")
    lines = found[0]["content"].splitlines()
    return Listed(pypi=_dependencies(file, tomllib.loads("\n".join(line.removeprefix("#")[1:] for line in lines))))


def _environment(file: PackageFile) -> Listed:
    document = yaml.safe_load(file.text)
    entries = document.get("dependencies") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise _invalid(file, "has no list of `dependencies`")
    conda, pypi = [], []
    for entry in entries:
        if isinstance(entry, str):
            # Interpreter and installers are the base's.
            if re.split(r"[\s=<>!~]", entry)[0] not in ("python", "pip"):
                conda.append(entry)
        elif isinstance(entry, dict) and isinstance(entry.get("pip"), list):
            pypi += [str(one) for one in entry["pip"]]
        else:
            raise _invalid(file, f"has an entry that is no package: {str(entry)[:80]!r}")
    channels = document.get("channels") or []
    return Listed(_specs(file, pypi), conda, [str(one) for one in channels] if isinstance(channels, list) else [])


def _dependencies(file: PackageFile, table: Any) -> list[str]:
    entries = table.get("dependencies") if isinstance(table, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, str) for entry in entries):
        raise _invalid(file, "has no list of `dependencies`")
    return _specs(file, entries)


def _specs(file: PackageFile, entries: list[str]) -> list[str]:
    """Check entries; those whose condition does not hold on this machine are left out."""
    found = []
    for entry in entries:
        try:
            if ";" in entry and not entry.startswith("-"):
                requirement = Requirement(entry)
                marker, requirement.marker = requirement.marker, None
                if marker is not None and not marker.evaluate({"extra": ""}):
                    continue
                entry = str(requirement)
            found.append(str(read_spec(entry)))
        except (StudioloError, InvalidRequirement) as exc:
            raise _invalid(file, f"has an entry that names no package of the index: {entry[:80]!r}") from exc
    return found


def _invalid(file: PackageFile, what: str, *, hint: str | None = None) -> InvalidInput:
    return InvalidInput("package-file-invalid", f"{file.name[:80]!r} {what}.", hint=hint)
