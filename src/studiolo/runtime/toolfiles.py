"""Files that tell a workload's tools what holds here: which index, signed in how."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from studiolo.runtime.launch import LaunchRequest


def write_tools(request: LaunchRequest) -> None:
    """Write what a session is told of its tools. Raises OSError."""
    write_files(request.tool_files)
    if request.netrc:
        write_netrc(request.netrc_file, request.netrc, request.variables.get("HOME"))


def write_files(files: Mapping[str, str]) -> None:
    """Write `files`, contents by absolute path, readable by this account alone. Raises OSError.

    A file that says the same already is left alone.
    """
    for path, content in files.items():
        if not _says(Path(path), content):
            _replace(Path(path), content)


def write_netrc(target: Path, entries: str, home: str | None) -> None:
    """Write a netrc file: what the account's own `home`/.netrc says, then `entries`. Raises OSError."""
    _replace(target, _own_netrc(home) + entries)


def _own_netrc(home: str | None) -> str:
    """Return what the account's own file says, if programs can read it: one bad line would spoil ours as well."""
    own = Path(home or "/") / ".netrc"
    if not own.is_file():
        return ""
    # Imported here: few have such a file, and each session would hold the module.
    import netrc

    try:
        text = own.read_text()
        netrc.netrc(str(own))
    except (OSError, ValueError, netrc.NetrcParseError) as exc:
        print(f"{own} is left out: {exc}", file=sys.stderr)
        return ""
    # A macro ends at an empty line.
    return text.rstrip("\n") + "\n\n"


def _says(target: Path, content: str) -> bool:
    try:
        return target.read_text() == content
    except (OSError, ValueError):
        return False


def _replace(target: Path, content: str) -> None:
    """Replace a file as a whole. Without `tempfile`, which each shim would hold for it."""
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{os.urandom(4).hex()}")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(content)
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
