"""Default notebook environments for tests' platforms: built once, kept between runs, given by hard links."""

import functools
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from studiolo.server.environments.base import SHIPPED_LOCK

# Every workspace gets a clone: of the whole one, thousands of files are made for a cell that prints a number.
_SMALL = {"ipykernel", "nbformat", "pip"}
_CACHE = Path(__file__).parents[1] / ".test-cache"
_SMALL_LOCK = _CACHE / "small.lock"
_ENTRY = re.compile(r"^(?P<name>[\w.-]+)==(?:.*\n)(?:    .*\n)*", re.MULTILINE)
_BUILD = """
import asyncio, sys
from datetime import timedelta
from pathlib import Path
from studiolo.server.environments.base import ensure_base
lock, limit = Path(sys.argv[2]) if sys.argv[2:] else None, timedelta(minutes=15)
print(asyncio.run(ensure_base(Path(sys.argv[1]), python="", lock_file=lock, timeout=limit, progress=lambda line: None)))
"""


@functools.cache
def small_lock() -> Path:
    """A lock of kernels alone: from the shipped one, `ipykernel`, `nbformat`, `pip` and what they need."""
    entries = {found["name"]: found[0] for found in _ENTRY.finditer(SHIPPED_LOCK.read_text())}
    needed, before = set(_SMALL), 0
    while len(needed) > before:
        before = len(needed)
        needed |= {name for name, entry in entries.items() if needed & set(_wanted_by(entry))}
    text = "".join(entries[name] for name in sorted(needed))
    if not _SMALL_LOCK.exists() or _SMALL_LOCK.read_text() != text:
        _CACHE.mkdir(exist_ok=True)
        # Whole at any moment: another worker may read it.
        fresh = _SMALL_LOCK.with_suffix(f".{os.getpid()}")
        fresh.write_text(text)
        fresh.replace(_SMALL_LOCK)
    return _SMALL_LOCK


def give_base(data_dir: Path, lock: Path | None = None) -> None:
    """Give a data directory the environment of a lock (none: the shipped one); it is built at its first use."""
    built = _build(lock)
    target = data_dir / "environments" / built.name
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(built, target, symlinks=True, copy_function=os.link)


@functools.cache
def _build(lock: Path | None) -> Path:
    # In a process of its own: the browser's event loop may run in this one.
    command = [sys.executable, "-c", _BUILD, _CACHE, *([lock] if lock else [])]
    return Path(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip())


def _wanted_by(entry: str) -> list[str]:
    """The packages that an entry's `# via` comments name."""
    comments = entry.partition("# via")[2]
    return re.findall(r"[\w.-]+", comments.replace("#", " "))
