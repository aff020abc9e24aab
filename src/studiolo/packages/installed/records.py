"""RECORD, the list of files that an installed wheel consists of.

Source: packaging.python.org, "Recording installed projects" and "Binary distribution format".
"""

import csv
import io
import posixpath
from dataclasses import dataclass

MOST_BYTES = 16 << 20
# What installers add, and what each writes in its own way.
_WRITTEN_BY_INSTALLERS = {
    *("RECORD", "RECORD.jws", "RECORD.p7s", "INSTALLER", "REQUESTED", "direct_url.json", "provenance_url.json"),
}


class Malformed(ValueError):
    """A RECORD that is none; its text says why."""


@dataclass(frozen=True, slots=True)
class Row:
    """One file. `path`: as it is written there. `digest`: as it is written there (`sha256=…`), or empty."""

    path: str
    digest: str


def parse(content: bytes) -> list[Row]:
    """Return the rows of a RECORD. Raises Malformed."""
    text = content.decode("utf-8", "surrogateescape")
    if "\0" in text:
        raise Malformed("it contains NUL characters")
    try:
        rows = [
            Row(words[0], words[1] if len(words) > 1 else "") for words in csv.reader(io.StringIO(text, "")) if words
        ]
    except csv.Error as exc:
        raise Malformed(str(exc)) from exc
    if any("\n" in row.path or "\n" in row.digest for row in rows):
        raise Malformed("a path or digest has a line break in it")
    return rows


def payload(rows: list[Row]) -> list[tuple[str, str]]:
    """Return path and digest of the files that a wheel brings and each installer places alike, sorted.

    Scripts, and what `.data/` folders hold for other places than site-packages, are not among them.
    """
    found = ((_installed_path(row.path), row.digest) for row in rows)
    return sorted((path, digest) for path, digest in found if path is not None)


def stays_below(path: str) -> bool:
    """Tell whether a path, taken from its folder, is a plain one that does not leave it."""
    return not path.startswith("/") and posixpath.normpath(path) == path and path.partition("/")[0] not in ("..", ".")


def _installed_path(path: str) -> str | None:
    top, _, rest = path.partition("/")
    if top.endswith(".data"):
        kind, _, path = rest.partition("/")
        if kind not in ("purelib", "platlib"):
            return None
        top, _, rest = path.partition("/")
    if path.endswith(".pyc") or not stays_below(path):
        return None
    if top.endswith(".dist-info") and (rest in _WRITTEN_BY_INSTALLERS or rest.startswith("uv_")):
        return None
    return path
