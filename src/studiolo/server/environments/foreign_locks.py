"""Locks that people bring from elsewhere: of one only names, versions and digests count, each in its own shape.

What is in them is written into the files of installers, line by line.
"""

import re

from studiolo.contract.errors import InvalidInput
from studiolo.kit.plain_toml import read_toml
from studiolo.packages.installed.lock import Lock, LockedPackage

_NAME = re.compile(r"[a-z0-9_](?:[a-z0-9._-]{0,98}[a-z0-9])?")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]{0,99}")
_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+!-]{0,250}")
_CHANNEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,98}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_PYTHON = re.compile(r"3\.[0-9]{1,2}")
_MOST = 5000


def read_lock(text: str) -> Lock:
    """Read a `pylock.toml` that a Studiolo wrote. Raises InvalidInput (`lock-invalid`) for anything else."""
    try:
        lock = Lock.from_toml(text)
        said = read_toml(text)["tool"]["studiolo"]["hash"]
    except (ValueError, KeyError, TypeError, RecursionError) as exc:
        raise _invalid("It is no lock that studiolo environment lock wrote.", str(exc)) from exc
    if len(lock.packages) > _MOST:
        raise _invalid(f"It names more than {_MOST} packages.")
    if not _fits(_PYTHON, lock.python):
        raise _invalid(f"{str(lock.python)[:40]!r} is no version of Python.")
    if not all(isinstance(said, str) for said in (lock.base, lock.base_hash)):
        raise _invalid("What it says of its base cannot be.")
    for one in lock.packages:
        if not _is_sound(one):
            raise _invalid(f"What it says of {str(one.name)[:80]!r} cannot be.")
    if lock.hash != said:
        raise _invalid("It was changed after it was written: its hash is another's.")
    return lock


def _is_sound(one: LockedPackage) -> bool:
    known = one.ecosystem in ("pypi", "conda") and one.origin in ("base", "delivered", "unproven")
    digests = all(value is None or _fits(_DIGEST, value) for value in (one.sha256, one.digest))
    file = one.file is None or _fits(_FILE, one.file)
    channel = one.channel in (None, "") or _fits(_CHANNEL, one.channel)
    return known and digests and file and channel and _fits(_NAME, one.name) and _fits(_VERSION, one.version)


def _fits(pattern: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _invalid(why: str, detail: str | None = None) -> InvalidInput:
    hint = "Write it anew where the environment is: studiolo environment lock WORKSPACE -o pylock.toml."
    return InvalidInput("lock-invalid", f"The lock cannot be used. {why}", hint=hint, detail=detail)
