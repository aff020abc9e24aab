"""Permanent ids: a kind letter, a hyphen and 80 random bits, safe as DNS label, file name and URL segment."""

import re
import secrets
from enum import StrEnum

# Crockford's base 32: no i, l, o, u, so that an id can be read aloud.
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_LENGTH = 16
_PATTERN = re.compile(rf"[a-z]-[{_ALPHABET}]{{{_LENGTH}}}")


class IdKind(StrEnum):
    """The letter that an id begins with."""

    AUDIT = "a"
    BANNER = "b"
    DATASET = "d"
    GRANT = "g"
    INVITATION = "i"
    KEY = "k"
    LOGIN = "l"
    NOTIFICATION = "n"
    PERSON = "p"
    SCAN = "c"
    REQUEST = "r"
    SESSION = "s"
    SHARE = "h"
    WORKSPACE = "w"


def new_id(kind: IdKind) -> str:
    """Return a fresh id, for example `w-7k2m9q4x0c5t8v1b`. Ids are never reused."""
    return f"{kind}-" + "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))


def id_from(kind: IdKind, digest: str) -> str:
    """Return the id that a digest (hex, 80 bits or more) stands for, always the same."""
    number, letters = int(digest, 16), ""
    for _ in range(_LENGTH):
        number, digit = divmod(number, len(_ALPHABET))
        letters += _ALPHABET[digit]
    return f"{kind}-{letters}"


def looks_like_id(text: str, kind: IdKind | None = None) -> bool:
    """Tell whether `text` has the shape of an id (of that kind); says nothing about existence."""
    return bool(_PATTERN.fullmatch(text)) and (kind is None or text[0] == kind)
