"""What pip installed and a conda package brings now: taken out, so that no environment holds a package twice.

Names do not tell (conda's matplotlib-base brings matplotlib, its graphviz is another thing than PyPI's), so what is
compared are the distributions that packages really brought.
"""

import contextlib
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath

from packaging.utils import canonicalize_name
from rattler import PrefixRecord

from studiolo.packages.installed import records
from studiolo.packages.installed.handles import opened, opened_below, read_file

_SITES = "lib/python3*/site-packages"
_INFO = (".dist-info", ".egg-info")


def list_of_pip(prefix: Path, there: Iterable[PrefixRecord]) -> dict[str, set[str]]:
    """Return the files of each distribution that no conda package brought, by its name; paths as in `conda-meta`."""
    owned = _folders_of(_owned(there))
    found: dict[str, set[str]] = {}
    for info in prefix.glob(f"{_SITES}/*.dist-info"):
        where = PurePosixPath(info.relative_to(prefix))
        if where not in owned and not info.is_symlink():
            found.setdefault(_name_of(info.name), set()).update(_files_of(prefix, where))
    return found


def drop_replaced(prefix: Path, before: Mapping[str, set[str]], there: Iterable[PrefixRecord]) -> list[str]:
    """Remove what is left of distributions that conda packages bring now; returns their names. No link is followed.

    `before`: what `list_of_pip` returned before they came; `there`: the conda packages now.
    """
    owned = _owned(there)
    brought = {_name_of(folder.name) for folder in _folders_of(owned) if folder.name.endswith(_INFO)}
    names = sorted(brought & before.keys())
    with opened(prefix) as top:
        for path in (path for name in names for path in before[name] - owned):
            *folders, name = PurePosixPath(path).parts
            with contextlib.suppress(OSError), opened_below(top, tuple(folders)) as folder:
                os.unlink(name, dir_fd=folder)
    kept = _folders_of(owned)
    for info in prefix.glob(f"{_SITES}/*.dist-info"):
        if (
            _name_of(info.name) in names
            and PurePosixPath(info.relative_to(prefix)) not in kept
            and not info.is_symlink()
        ):
            shutil.rmtree(info)
    return names


def _files_of(prefix: Path, info: PurePosixPath) -> Iterator[str]:
    """Yield what a RECORD names in its own site-packages folder; one that cannot be read names nothing."""
    try:
        with opened(prefix / info) as folder:
            rows = records.parse(read_file("RECORD", folder, records.MOST_BYTES))
    except (OSError, records.Malformed):
        return
    yield from (f"{info.parent}/{row.path}" for row in rows if records.stays_below(row.path))


def _owned(there: Iterable[PrefixRecord]) -> set[str]:
    return {file.as_posix() for record in there for file in record.files}


def _folders_of(files: Iterable[str]) -> set[PurePosixPath]:
    return {PurePosixPath(file).parent for file in files}


def _name_of(folder: str) -> str:
    return str(canonicalize_name(folder.partition("-")[0]))
