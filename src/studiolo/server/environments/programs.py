"""Programs that installers wrote into an environment by an interpreter outside it: pointed to the one beside them."""

import os
import re
from pathlib import Path

from studiolo.packages.installed.handles import list_folder, opened, read_file, read_start

# Longer first lines than the system takes are none.
_LONGEST_HEAD = 1024
_LARGEST = 1 << 20
_SHELL = b"#!/bin/sh\n"
# The interpreter, as the system reads it, or as the shell does: by its path, or from the folder of the program.
_NAMED = re.compile(
    rb"""#!/bin/sh\n'''exec' (?:"\$\(dirname -- "\$\(realpath -- "\$0"\)"\)"/)?'([^'\n]+)'|#!(/[^\s]+)\n"""
)
# As uv writes it into environments that can be moved; Python reads the lines as a text.
_BESIDE = _SHELL + b"""'''exec' "$(dirname -- "$(realpath -- "$0")")"/'python' "$0" "$@"\n' '''\n"""


def point_programs(prefix: Path, interpreter: Path) -> None:
    """Have programs in `prefix/bin` that name `interpreter`, from there or by its path, run with `prefix/bin/python`.

    No link is followed. Raises OSError.
    """
    with opened(prefix) as top, opened("bin", top) as folder:
        for entry in list_folder(folder):
            if not entry.is_file(follow_symlinks=False):
                continue
            begin = read_start(entry.name, folder, _LONGEST_HEAD)
            head = b"".join(begin.splitlines(keepends=True)[: 3 if begin.startswith(_SHELL) else 1])
            named = _NAMED.match(head)
            if named and _is_same(prefix / "bin" / os.fsdecode(named[1] or named[2]), interpreter):
                content = read_file(entry.name, folder, _LARGEST)
                _replace(
                    entry.name,
                    folder,
                    _BESIDE + content.removeprefix(head),
                    entry.stat(follow_symlinks=False).st_mode & 0o777,
                )


def _is_same(one: Path, other: Path) -> bool:
    """Tell whether two paths are one name in one folder: interpreters themselves are mostly links to the same file."""
    return one.name == other.name and one.parent.resolve() == other.parent.resolve()


def _replace(name: str, folder: int, content: bytes, mode: int) -> None:
    """Write anew beside, since the file may have a second name elsewhere."""
    fresh = f".{name}.new"
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode, dir_fd=folder)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        os.fchmod(descriptor, mode)
    os.replace(fresh, name, src_dir_fd=folder, dst_dir_fd=folder)
