"""Keys, tokens and keyed hashes. One master key outside the database is the root of all of them."""

import hashlib
import hmac
import os
import secrets
import zlib
from pathlib import Path

from studiolo.contract.errors import Unavailable

_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SECRET_LENGTH = 32
_CHECKSUM_LENGTH = 6


class MasterKey:
    """32 random bytes from a file of their own; everything else is derived from it by purpose."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    @classmethod
    def load(cls, path: Path) -> "MasterKey":
        """Read the key, making it (mode 0600, durable) when there is none.

        Raises Unavailable (`data-directory-unusable`) when it is unreadable or not 32 bytes: going on with
        another key would lock everybody out.
        """
        try:
            if not path.exists():
                _create(path, secrets.token_bytes(32))
            key = path.read_bytes()
        except OSError as exc:
            raise Unavailable(
                "data-directory-unusable",
                f"The master key cannot be read: {exc.strerror}.",
                hint=f"Check owner and mode of {path}.",
            ) from exc
        if len(key) != 32:
            raise Unavailable(
                "data-directory-unusable",
                "The master key is damaged.",
                hint=f"Put {path} back from a backup; without it, logins and keys made so far cannot be checked.",
            )
        return cls(key)

    def digest(self, purpose: str, *parts: str) -> str:
        """Return a keyed hash (hex, 256 bits) of `parts` for one purpose; parts cannot run into each other."""
        message = b"".join(len(p.encode()).to_bytes(4, "big") + p.encode() for p in (purpose, *parts))
        return hmac.new(self._key, message, hashlib.sha256).hexdigest()


def _create(path: Path, content: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    try:
        # A link fails if another process made the key first: then that one holds.
        os.link(fresh, path)
    except FileExistsError:
        pass
    finally:
        fresh.unlink()


def new_token(prefix: str) -> str:
    """Return a bearer token: prefix, 190 random bits, checksum; for example `sto_…` of 42 characters."""
    body = "".join(secrets.choice(_BASE62) for _ in range(_SECRET_LENGTH))
    return f"{prefix}_{body}{_checksum(prefix + body)}"


def token_from(prefix: str, digest: str) -> str:
    """Return the bearer token that a keyed digest (hex, 256 bits) stands for: derived, so never stored."""
    number, body = int(digest, 16), ""
    for _ in range(_SECRET_LENGTH):
        number, digit = divmod(number, 62)
        body += _BASE62[digit]
    return f"{prefix}_{body}{_checksum(prefix + body)}"


def has_valid_checksum(token: str) -> bool:
    """Tell a mistyped or cut token from one that may exist, without asking the database."""
    prefix, separator, rest = token.partition("_")
    body, checksum = rest[:-_CHECKSUM_LENGTH], rest[-_CHECKSUM_LENGTH:]
    return bool(separator) and len(body) == _SECRET_LENGTH and _checksum(prefix + body) == checksum


def _checksum(text: str) -> str:
    number, digits = zlib.crc32(text.encode()), ""
    for _ in range(_CHECKSUM_LENGTH):
        number, digit = divmod(number, 62)
        digits = _BASE62[digit] + digits
    return digits
