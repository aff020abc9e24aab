"""Reading an environment: its distributions, and the code in it that none of them claims.

What its users may have planted there (links, pipes, huge or malformed files) is a finding, never an error.
"""

import hashlib
import os
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from studiolo.packages.installed.conda import read_conda
from studiolo.packages.installed.distributions import read_distributions
from studiolo.packages.installed.handles import list_folder, opened, opened_below, opened_file
from studiolo.packages.installed.snapshots import Distribution, Finding, Orphan, Snapshot, Stamp, shown

_CODE = (".py", ".so", ".pth", ".pyd", ".egg", ".egg-link")
_LONGEST_STEP_SECONDS = 60.0
_DEPTH = 40
_MOST_ENTRIES = 500_000
_MOST_ORPHANS = 10_000
_MOST_HASHED_BYTES = 64 << 20


def read_environment(prefix: Path) -> Snapshot:
    """Read the environment at `prefix`; blocking, some 0.3 s for 22,000 files. Empty where there is none."""
    stamp = stamp_of(folders_of(prefix))
    findings: list[Finding] = []
    try:
        with opened(prefix) as top:
            conda = read_conda(top, findings)
            found, orphans = list(conda.distributions), []
            sites = find_sites(prefix)
            for site in sites:
                inner = _read_site(top, site, conda.files, findings)
                found += inner[0]
                orphans += inner[1]
    except OSError as exc:
        return Snapshot("", False, (), (), (Finding("unreadable", "", f"It cannot be read: {exc.strerror}."),), stamp)
    found.sort(key=lambda one: (one.ecosystem, one.name, one.folder))
    findings += _twice(found)
    return Snapshot(
        python=sites[-1].split("/")[1].removeprefix("python") if sites else "",
        is_conda=conda.is_there,
        distributions=tuple(found),
        orphans=tuple(sorted(orphans, key=lambda orphan: orphan.path)),
        findings=tuple(findings),
        stamp=stamp,
    )


def folders_of(prefix: Path) -> list[str]:
    """Return the folders of an environment that installers write, absolute, for `stamp_of`.

    And `lib`, in which those of another Python would appear: what changes in none of them leaves all as it is.
    """
    return [str(prefix / folder) for folder in (*find_sites(prefix), "conda-meta", "lib")]


def stamp_of(folders: Sequence[str]) -> Stamp:
    """Return what changes when anything is installed or removed there: one `lstat` each, some microseconds."""
    found = []
    for folder in folders:
        try:
            seen = os.lstat(folder)
        except OSError:
            continue
        found.append((seen.st_dev, seen.st_ino, seen.st_mtime_ns))
    return tuple(found)


def is_settled(prefix: Path) -> bool:
    """Tell whether no installer seems to be at work: none has left a distribution without its RECORD, or set aside.

    RECORD is the last file that pip and uv write; what pip removes is called `~…` until the end. What has lain there
    for a minute is of an installer that was killed.
    """
    since = time.time() - _LONGEST_STEP_SECONDS
    try:
        return not any(
            _is_half(entry) and entry.stat(follow_symlinks=False).st_ctime > since
            for site in find_sites(prefix)
            for entry in list_folder(prefix / site)
        )
    except OSError:
        # Something went while it was looked at.
        return False


def _is_half(entry: os.DirEntry[str]) -> bool:
    if entry.name.startswith("~"):
        return True
    return entry.name.endswith(".dist-info") and not os.path.lexists(f"{entry.path}/RECORD")


def find_sites(prefix: Path) -> list[str]:
    """Return the site-packages folders of an environment, relative to it: `lib/python3.11/site-packages`."""
    try:
        names = sorted(name for name in os.listdir(prefix / "lib") if name.startswith("python3."))  # noqa: PTH208
    except OSError:
        return []
    sites = [f"lib/{name}/site-packages" for name in names]
    return [site for site in sites if (prefix / site).is_dir() and not (prefix / site).is_symlink()]


def _read_site(
    top: int, site: str, claimed: frozenset[str], findings: list[Finding]
) -> tuple[list[Distribution], list[Orphan]]:
    """Read one site-packages folder. `claimed`: paths relative to the environment that conda packages own."""
    try:
        with opened_below(top, tuple(site.split("/"))) as folder:
            found, owned = read_distributions(folder, site, claimed, findings)
            owned |= {path.removeprefix(f"{site}/") for path in claimed if path.startswith(f"{site}/")}
            return found, _Search(site, owned, findings).run(folder)
    except OSError as exc:
        findings.append(Finding("unreadable", site, f"It cannot be read: {exc.strerror}."))
        return [], []


class _Search:
    """Looks for code that is not `owned`: paths relative to the site-packages folder `site`."""

    def __init__(self, site: str, owned: set[str], findings: list[Finding]) -> None:
        self._site = site
        self._owned = owned
        self._findings = findings
        self._orphans: list[Orphan] = []
        self._left = _MOST_ENTRIES
        self._hashable_bytes = _MOST_HASHED_BYTES

    def run(self, folder: int) -> list[Orphan]:
        self._look(folder, "", 0)
        if self._left < 0 or len(self._orphans) >= _MOST_ORPHANS:
            self._find("too-many", "", "It holds more files than are looked at.")
        return self._orphans

    def _look(self, folder: int, path: str, depth: int) -> None:
        for entry in list_folder(folder):
            self._left -= 1
            if self._left < 0 or len(self._orphans) >= _MOST_ORPHANS:
                return
            inner = f"{path}{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                # Compiled code of what lies beside it.
                if entry.name != "__pycache__":
                    self._enter(folder, entry.name, inner, depth + 1)
            elif inner not in self._owned and (entry.is_symlink() or _is_code(entry.name)):
                self._orphans.append(Orphan(shown(f"{self._site}/{inner}"), self._digest(folder, entry)))

    def _enter(self, folder: int, name: str, path: str, depth: int) -> None:
        if depth > _DEPTH:
            self._find("too-many", path, "Its folders lie too deep in each other.")
            return
        try:
            with opened(name, folder) as inner:
                self._look(inner, f"{path}/", depth)
        except OSError as exc:
            self._find("unreadable", path, f"It cannot be read: {exc.strerror}.")

    def _digest(self, folder: int, entry: os.DirEntry[str]) -> str | None:
        try:
            if entry.is_symlink():
                return hashlib.sha256(os.fsencode(os.readlink(entry.name, dir_fd=folder))).hexdigest()
            self._hashable_bytes -= entry.stat(follow_symlinks=False).st_size
            if self._hashable_bytes < 0:
                return None
            with opened_file(entry.name, folder) as descriptor, open(descriptor, "rb", closefd=False) as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError:
            return None

    def _find(self, kind: str, path: str, text: str) -> None:
        self._findings.append(Finding(kind, shown(f"{self._site}/{path}".rstrip("/")), text))


def _is_code(name: str) -> bool:
    # Bytecode outside __pycache__ is imported where no source lies beside it.
    return name.endswith((*_CODE, ".pyc")) or ".so." in name


def _twice(found: list[Distribution]) -> list[Finding]:
    return [
        Finding("twice", second.folder, f"{second.name} is there more than once: {first.folder} is another one.")
        for first, second in pairwise(found)
        if (first.ecosystem, first.name) == (second.ecosystem, second.name)
    ]
