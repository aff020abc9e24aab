"""The rule for names of workspaces, sessions and people, and what to say when a name breaks it."""

import re
import unicodedata

from studiolo.contract.errors import InvalidInput
from studiolo.contract.ids import looks_like_id

MAX_NAME_LENGTH = 63
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?")
_RESERVED_WORDS = """
about account activity admin all api app auth docs environments files go health help history home jobs kernels
kernelspecs keys lab launch live login logout me new none notebook null people platform policy requests root runs s
search self sessions settings sign-in sign-out static status system templates trash undefined w workspaces
"""
_RESERVED = frozenset(_RESERVED_WORDS.split())
RULE = (
    f"1 to {MAX_NAME_LENGTH} lower-case letters, digits, '-', '_' or '.', beginning and ending with a letter or digit"
)


def check_name(name: str, *, what: str = "workspace") -> str:
    """Return `name` if it may name a `what`; raise InvalidInput (`name-invalid`, `name-reserved`) with the rule."""
    if len(name) > MAX_NAME_LENGTH or not _NAME.fullmatch(name) or ".." in name:
        shown = name if len(name) <= 40 else name[:40] + "…"
        raise InvalidInput(
            "name-invalid",
            f"{shown!r} cannot name a {what}: a name has {RULE}.",
            hint=f"Try {suggest_name(name)!r}." if suggest_name(name) else None,
        )
    # Only workspaces' names stand in addresses beside our own words.
    if (what == "workspace" and name in _RESERVED) or looks_like_id(name):
        raise InvalidInput(
            "name-reserved",
            f"{name!r} is reserved and cannot name a {what}.",
            hint=f"Try 'my-{name}'." if name in _RESERVED else "Choose a name that does not look like an id.",
        )
    return name


def suggest_name(text: str) -> str:
    """Return the nearest allowed name, or an empty string when nothing of `text` can be kept."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    kept = re.sub(r"\.{2,}", ".", re.sub(r"[^a-z0-9._-]+", "-", plain))[:MAX_NAME_LENGTH]
    return kept.strip("._-")
