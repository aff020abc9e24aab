"""The packages of a conda prefix, from its `conda-meta`."""

import json
import re
from dataclasses import dataclass
from typing import Any

from studiolo.packages.installed.handles import list_folder, opened, read_file
from studiolo.packages.installed.snapshots import Distribution, Finding

_MOST_PACKAGES = 10_000
_MOST_BYTES = 16 << 20
_SUBDIR = re.compile(r"noarch|(linux|osx|win|emscripten|wasi)-\w+", re.ASCII)


@dataclass(frozen=True, slots=True)
class CondaPart:
    """What conda packages put into a prefix. `files`: the paths that they own, relative to it."""

    is_there: bool
    distributions: tuple[Distribution, ...]
    files: frozenset[str]


def read_conda(top: int, findings: list[Finding]) -> CondaPart:
    """Read `conda-meta` of the environment whose descriptor is `top`; `findings` gets what is odd."""
    found: list[Distribution] = []
    files: set[str] = set()
    try:
        with opened("conda-meta", top) as folder:
            names = [entry.name for entry in list_folder(folder) if entry.name.endswith(".json")]
            for name in names[:_MOST_PACKAGES]:
                members = _read(name, folder, findings)
                if members is not None:
                    found.append(_distribution(members, name))
                    files |= {path for path in members["files"] if isinstance(path, str)}
    except FileNotFoundError:
        return CondaPart(False, (), frozenset())
    except OSError as exc:
        findings.append(Finding("unreadable", "conda-meta", f"It cannot be read: {exc.strerror}."))
    return CondaPart(True, tuple(found), frozenset(files))


def _read(name: str, folder: int, findings: list[Finding]) -> dict[str, Any] | None:
    try:
        members = json.loads(read_file(name, folder, _MOST_BYTES))
        if isinstance(members["name"], str) and isinstance(members["version"], str):
            return {**members, "files": members.get("files") or ()}
        why = "it names no package"
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as exc:
        why = f"{exc}"[:200]
    findings.append(Finding("metadata-unreadable", f"conda-meta/{name}", f"It cannot be read: {why}."))
    return None


def _distribution(members: dict[str, Any], file: str) -> Distribution:
    def text(key: str, most: int) -> str | None:
        value = members.get(key)
        return value[:most] if isinstance(value, str) else None

    return Distribution(
        ecosystem="conda",
        name=members["name"].lower()[:200],
        version=members["version"][:100],
        folder=f"conda-meta/{file}",
        installer="conda",
        file=text("fn", 400),
        sha256=text("sha256", 64),
        channel=_channel_name(text("channel", 1000)),
    )


def _channel_name(channel: str | None) -> str | None:
    """Return the name in a channel's address, which ends with it or, as conda writes it, with a folder of it."""
    parts = [part for part in (channel or "").split("/") if part]
    if len(parts) > 1 and _SUBDIR.fullmatch(parts[-1]):
        parts.pop()
    return parts[-1][:200] if parts else None
