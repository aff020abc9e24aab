"""Where uploads that broke off can go on, remembered on this machine between programs."""

import contextlib
import hashlib
import json
import os
from pathlib import Path


def name_of(*members: object) -> str:
    """Return the name under which an upload is remembered: what is sent, and where to, as text."""
    return hashlib.sha256(json.dumps([str(member) for member in members]).encode()).hexdigest()[:32]


def recall(name: str) -> str | None:
    """Return the address of an upload that broke off; None if none is known."""
    try:
        return _place(name).read_text().strip() or None
    except (OSError, ValueError):
        return None


def remember(name: str, address: str) -> None:
    """Keep the address of an upload. That it cannot be kept is no reason not to upload."""
    with contextlib.suppress(OSError):
        place = _place(name)
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        place.write_text(address)


def forget(name: str) -> None:
    """Forget an upload that is over."""
    with contextlib.suppress(OSError):
        _place(name).unlink(missing_ok=True)


def _place(name: str) -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "studiolo" / "uploads" / name
