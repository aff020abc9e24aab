"""Files that list packages, read into specs: requirements.txt, pyproject.toml, environment.yml, PEP 723 scripts, and
YAML files that hold a list `packages:` and no more.

Only lists of packages are taken over: an option that leads elsewhere, an address or a file is an error that is named.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from studiolo.contract.environments import PackageFile
from studiolo.contract.errors import Conflict, InvalidInput, StudioloError
from studiolo.kit.plain_toml import read_toml
from studiolo.server.environments.installing import Resolved
from studiolo.server.environments.specs import read_spec

# Source: PEP 723, "reference implementation".
_SCRIPT = re.compile(r"(?m)^# /// (?P<type>[a-zA-Z0-9-]+)$\s(?P<content>(^#(| .*)$\s)+)^# ///$")
_HASH = re.compile(r"\s+--hash[=\s](?P<kind>\w+):(?P<digest>\w+)")
_COMMENT = re.compile(r"(^|\s)#.*$")


class _WithoutAliases(yaml.SafeLoader):
    """A few lines of aliases to aliases say more than memory holds, once they are written out."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("it uses aliases (*name), which are not read: write out what they stand for")
        return super().compose_node(parent, index)


@dataclass(frozen=True, slots=True)
class Listed:
    """What a file lists. `pypi` and `conda`: specs; `channels`: of conda, in their order.

    `hashes`: by name, the SHA-256 (hexadecimal) of the files that may be taken; of others any.
    """

    pypi: list[str] = field(default_factory=list)
    conda: list[str] = field(default_factory=list)
    channels: list[str] = field(default_factory=list)
    hashes: dict[str, list[str]] = field(default_factory=dict)


def read_file(file: PackageFile, python: str) -> Listed:
    """Return what a file lists for a version of Python, as `3.11.7`: by it entries with conditions are chosen.

    Raises InvalidInput (`package-file-invalid`) naming the entry or line, also where it asks for another Python.
    """
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
        return readers[suffix](file, python)
    except (tomllib.TOMLDecodeError, yaml.YAMLError, RecursionError) as exc:
        raise _invalid(file, f"cannot be read: {str(exc).splitlines()[0] if str(exc) else 'it is too deep'}") from exc


def check_hashes(closure: Iterable[Resolved], allowed: Mapping[str, Sequence[str]]) -> None:
    """Raise Conflict (`package-unsolvable`) for a file that is none of those that a list's hashes allow."""
    for one in closure:
        if one.ecosystem == "pypi" and one.name in allowed and one.sha256 not in allowed[one.name]:
            raise Conflict(
                "package-unsolvable",
                f"{one.file or 'The file'}, which the index offers here for {one.name} {one.version}, has none of the "
                "hashes that were given.",
                hint="Lock the list anew if you trust that file; else ask who keeps the index.",
            )


def _requirements(file: PackageFile, python: str) -> Listed:
    lines = file.text.replace("\\\r\n", " ").replace("\\\n", " ").splitlines()
    kept = [line for line in (_COMMENT.sub("", line).strip() for line in lines) if line]
    hashes: dict[str, list[str]] = {}
    for line in kept:
        for found in _HASH.finditer(line):
            if found["kind"] != "sha256":
                raise _invalid(file, f"has a hash that is no sha256: {line[:80]!r}")
            named = re.split(r"[\s\[;<>=!~]", line, maxsplit=1)[0]
            hashes.setdefault(canonicalize_name(named), []).append(found["digest"].lower())
    return Listed(pypi=_specs(file, [_HASH.sub("", line).strip() for line in kept], python), hashes=hashes)


def _pyproject(file: PackageFile, python: str) -> Listed:
    return Listed(pypi=_dependencies(file, read_toml(file.text).get("project"), python))


def _script(file: PackageFile, python: str) -> Listed:
    found = [match for match in _SCRIPT.finditer(file.text) if match["type"] == "script"]
    if len(found) != 1:
        raise _invalid(file, "has no block of metadata (`# /// script`), or several")
    lines = found[0]["content"].splitlines()
    table = read_toml("\n".join(line.removeprefix("#")[1:] for line in lines))
    return Listed(pypi=_dependencies(file, table, python))


def _environment(file: PackageFile, python: str) -> Listed:
    document = yaml.load(file.text, Loader=_WithoutAliases)  # noqa: S506 (a SafeLoader)
    if isinstance(document, dict) and set(document) == {"packages"}:
        return Listed(pypi=_specs(file, _texts(file, document["packages"]), python))
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
    return Listed(
        _specs(file, pypi, python), conda, [str(one) for one in channels] if isinstance(channels, list) else []
    )


def _texts(file: PackageFile, entries: Any) -> list[str]:
    if not isinstance(entries, list) or not all(isinstance(entry, str) for entry in entries):
        raise _invalid(file, "has `packages` that are no list of names")
    return entries


def _dependencies(file: PackageFile, table: Any, python: str) -> list[str]:
    entries = table.get("dependencies") if isinstance(table, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, str) for entry in entries):
        raise _invalid(file, "has no list of `dependencies`")
    _check_python(file, table.get("requires-python"), python)
    return _specs(file, entries, python)


def _check_python(file: PackageFile, wanted: Any, python: str) -> None:
    try:
        fits = wanted is None or SpecifierSet(wanted).contains(python, prereleases=True)
    except (InvalidSpecifier, TypeError, AttributeError) as exc:
        raise _invalid(file, f"has a `requires-python` that names no versions: {str(wanted)[:80]!r}") from exc
    if not fits:
        raise _invalid(
            file,
            f"asks for Python {wanted[:80]}, and this one is {python}",
            hint="Another workspace can have another Python: studiolo create NAME --config with a python_version.",
        )


def _specs(file: PackageFile, entries: list[str], python: str) -> list[str]:
    """Check entries; those whose condition does not hold on this machine, with that Python, are left out."""
    here = {"extra": "", "python_full_version": python, "python_version": ".".join(python.split(".")[:2])}
    found = []
    for entry in entries:
        try:
            if ";" in entry and not entry.startswith("-"):
                requirement = Requirement(entry)
                marker, requirement.marker = requirement.marker, None
                if marker is not None and not marker.evaluate(here):
                    continue
                entry = str(requirement)
            found.append(str(read_spec(entry)))
        except (StudioloError, InvalidRequirement) as exc:
            raise _invalid(file, f"has an entry that names no package of the index: {entry[:80]!r}") from exc
    return found


def _invalid(file: PackageFile, what: str, *, hint: str | None = None) -> InvalidInput:
    return InvalidInput("package-file-invalid", f"{file.name[:80]!r} {what}.", hint=hint)
