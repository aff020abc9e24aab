"""The distributions of one site-packages folder, from their `.dist-info` and `.egg-info`."""

import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

from packaging.utils import canonicalize_name

from studiolo.packages.installed import records
from studiolo.packages.installed.fingerprint import of_rows
from studiolo.packages.installed.handles import list_folder, opened, read_file, read_start
from studiolo.packages.installed.snapshots import Distribution, Finding, shown

_MOST_DISTRIBUTIONS = 10_000
_MOST_RECORD_BYTES = 256 << 20
_HEADERS_BYTES = 64 << 10
_SMALL_BYTES = 16 << 10
_SHOWN = 200
_MOST_KEPT_BYTES = 32 << 20
# What one costs besides its text.
_KEPT_BYTES = 512


@dataclass(frozen=True, slots=True)
class _Record:
    """What is taken from a RECORD. `reach`: how many folders up its highest path leads; None: it is absolute."""

    paths: tuple[str, ...]
    fingerprint: str | None
    reach: int | None


class _Known:
    """RECORD files by their content: nearly all of an environment's are its base's, and each is read many times.

    Bounded by their size, since anybody can write some; the oldest go first. For several threads.
    """

    def __init__(self) -> None:
        self._records: OrderedDict[bytes, tuple[_Record, int]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def read(self, content: bytes) -> _Record:
        """Return what a RECORD says. Raises records.Malformed."""
        digest = hashlib.sha256(content).digest()
        known = self._records.get(digest)
        return known[0] if known is not None else self._keep(digest, _parse(content), len(content) + _KEPT_BYTES)

    def _keep(self, digest: bytes, record: _Record, size: int) -> _Record:
        with self._lock:
            if digest not in self._records:
                self._records[digest] = record, size
                self._bytes += size
            while self._bytes > _MOST_KEPT_BYTES:
                self._bytes -= self._records.popitem(last=False)[1][1]
        return record


_known = _Known()


def read_distributions(
    site: int, where: str, claimed: frozenset[str], findings: list[Finding]
) -> tuple[list[Distribution], set[str]]:
    """Return what lies in a site-packages folder, and the paths in it that RECORD files claim.

    `site`: its descriptor; `where`: its path in the environment; `claimed`: paths that conda packages own, whose
    distributions are left out. `findings` gets what is odd.
    """
    found: list[Distribution] = []
    owned: set[str] = set()
    left = _MOST_RECORD_BYTES
    for name in _info_folders(site):
        path = f"{where}/{name}"
        if f"{path}/METADATA" in claimed or f"{path}/RECORD" in claimed:
            continue
        if len(found) >= _MOST_DISTRIBUTIONS or left < 0:
            findings.append(Finding("too-many", where, "It holds more distributions than are read."))
            break
        record, size = _record(site, name, path, findings)
        left -= size
        owned.update(record.paths)
        found.append(_distribution(site, name, path, record, findings))
    return found, owned


def _info_folders(site: int) -> Iterator[str]:
    for entry in list_folder(site):
        if entry.name.endswith((".dist-info", ".egg-info")) and not entry.name.startswith("~"):
            yield entry.name


def _distribution(site: int, name: str, path: str, record: _Record, findings: list[Finding]) -> Distribution:
    stem = shown(name).rpartition(".")[0]
    called, _, version = stem.partition("-")
    wheel = name.endswith(".dist-info")
    headers = _headers(site, name, "METADATA" if wheel else "PKG-INFO")
    if headers is None:
        findings.append(Finding("metadata-unreadable", shown(path), "Its METADATA is missing or cannot be read."))
        headers = {}
    told, version = headers.get("name", called), headers.get("version", version)
    if canonicalize_name(told) != canonicalize_name(called):
        findings.append(Finding("name-differs", shown(path), f"Its METADATA calls it {told[:_SHOWN]!r}."))
    return Distribution(
        ecosystem="pypi",
        name=canonicalize_name(told)[:_SHOWN],
        version=version[:100],
        folder=path,
        installer=_small(site, name, "INSTALLER"),
        direct_url=_direct_url(site, name),
        fingerprint=record.fingerprint,
    )


def _record(site: int, name: str, path: str, findings: list[Finding]) -> tuple[_Record, int]:
    """Return what its RECORD names in this site-packages folder, and the size of that file in bytes."""
    nothing = _Record((), None, 0)
    if not name.endswith(".dist-info"):
        return nothing, 0
    try:
        with opened(name, site) as folder:
            content = read_file("RECORD", folder, records.MOST_BYTES)
        record = _known.read(content)
    except FileNotFoundError:
        findings.append(
            Finding("record-missing", shown(path), "It has no RECORD, so nothing says which files are its own.")
        )
        return nothing, 0
    except (OSError, records.Malformed) as exc:
        findings.append(Finding("record-unreadable", shown(path), f"Its RECORD cannot be read: {str(exc)[:_SHOWN]}."))
        return nothing, 0
    if record.reach is None or record.reach > path.count("/"):
        findings.append(Finding("record-outside", shown(path), "Its RECORD names files outside the environment."))
    return record, len(content)


def _parse(content: bytes) -> _Record:
    rows = records.parse(content)
    paths = tuple(row.path for row in rows)
    # Few paths lead up, and none does without this.
    odd = [path for path in paths if ".." in path or path.startswith("/")]
    is_absolute = any(path.startswith("/") for path in odd)
    return _Record(paths, of_rows(rows), None if is_absolute else max(map(_reach, odd), default=0))


def _reach(path: str) -> int:
    """Return how many folders up a path leads at its highest: 3 for `../../../bin/x`, which is there still."""
    level = highest = 0
    for name in path.split("/"):
        level += -1 if name == ".." else 0 if name in ("", ".") else 1
        highest = min(highest, level)
    return -highest


def _headers(site: int, folder: str, file: str) -> dict[str, str] | None:
    try:
        with opened(folder, site) as inside:
            content = read_start(file, inside, _HEADERS_BYTES)
    except NotADirectoryError:
        # An .egg-info that is the file itself.
        try:
            content = read_start(folder, site, _HEADERS_BYTES)
        except OSError:
            return None
    except OSError:
        return None
    found: dict[str, str] = {}
    for line in content.decode(errors="replace").splitlines():
        if not line.strip():
            break
        key, colon, value = line.partition(":")
        if colon and key.lower() in ("name", "version") and value.strip().isprintable():
            found.setdefault(key.lower(), value.strip())
    return found if len(found) == 2 else None


def _small(site: int, folder: str, file: str) -> str | None:
    try:
        with opened(folder, site) as inside:
            text = read_start(file, inside, _SMALL_BYTES).decode(errors="replace").strip()
    except OSError:
        return None
    return text if file != "INSTALLER" else text[:50] if text.isprintable() else None


def _direct_url(site: int, folder: str) -> str | None:
    try:
        url = json.loads(_small(site, folder, "direct_url.json") or "null")["url"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return url[:1000] if isinstance(url, str) else None
