"""API keys of a gateway that stands alone: read from a file or the environment, or made once."""

import hmac
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path

from studiolo.contract.errors import InvalidInput
from studiolo.kit.crypto import new_token
from studiolo.kit.files import write_atomically

PREFIX = "stg"
VARIABLE = "STUDIOLO_GATEWAY_KEY"
_SHORTEST = 16


class Keys:
    """The keys that open a gateway, each with the name of who has it. Only their hashes are kept in memory."""

    def __init__(self, keys: Mapping[str, str]) -> None:
        self._names = {sha256(key.encode()).digest(): name for key, name in keys.items()}

    def find(self, given: str) -> str | None:
        """Return the name of a key's holder, or None. Takes as long whichever key it is."""
        # What is no UTF-8 comes from the HTTP server as halves of surrogate pairs.
        digest = sha256(given.encode(errors="surrogatepass")).digest()
        found = None
        for known, name in self._names.items():
            if hmac.compare_digest(known, digest):
                found = name
        return found


def read_keys(file: Path) -> Keys:
    """Read a file with a key a line, and after a space the name of who has it; `#` begins a comment.

    Raises InvalidInput (`key-file-unreadable`) when there is none in it, or one shorter than 16 characters.
    """
    try:
        lines = file.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as exc:
        raise _unusable(file, f"it cannot be read ({exc})") from exc
    found = dict(_split(line) for line in _without_comments(lines))
    if not found:
        raise _unusable(file, "there is no key in it")
    if any(len(key) < _SHORTEST for key in found):
        raise _unusable(file, f"a key in it has fewer than {_SHORTEST} characters")
    return Keys(found)


def make_key(file: Path) -> tuple[str, bool]:
    """Return the key in `file`, made (mode 0600) if there is none, and whether it is new."""
    if file.exists():
        return _split(next(iter(_without_comments(file.read_text().splitlines()))))[0], False
    key = new_token(PREFIX)
    write_atomically(file, key + "\n")
    return key, True


def given_key(headers: Mapping[str, str], query: Mapping[str, str]) -> str | None:
    """Return the key that a request carries: `Authorization: token KEY` or `Bearer KEY`, or `?token=KEY`."""
    scheme, _, value = headers.get("Authorization", "").partition(" ")
    if scheme.lower() in ("token", "bearer") and value.strip():
        return value.strip()
    return query.get("token")


def _without_comments(lines: Iterable[str]) -> list[str]:
    return [line for line in (line.partition("#")[0].strip() for line in lines) if line]


def _split(line: str) -> tuple[str, str]:
    key, _, name = line.partition(" ")
    return key, name.strip() or "gateway"


def _unusable(file: Path, why: str) -> InvalidInput:
    return InvalidInput(
        "key-file-unreadable",
        f"The file with API keys, {file}, cannot be used: {why}.",
        hint="Write one key a line; a name may follow after a space.",
    )
