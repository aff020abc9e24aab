"""Hash, check and judge passwords. Argon2 takes tens of milliseconds, so it runs in a thread."""

import asyncio
import functools

from pwdlib import PasswordHash

from studiolo.contract.errors import InvalidInput

_hasher = PasswordHash.recommended()
_COMMON = ("password", "passwort", "123456", "qwerty", "letmein", "studiolo", "welcome", "iloveyou")


async def hash_password(password: str) -> str:
    """Return an Argon2id hash with its own salt and parameters."""
    return await asyncio.to_thread(_hasher.hash, password)


async def is_password(password: str, stored: str | None) -> bool:
    """Tell whether the password fits; takes the same time when there is none stored."""
    fits = await asyncio.to_thread(lambda: _hasher.verify(password, stored or _nobodys()))
    return fits and stored is not None


def check_strength(password: str, *, name: str, min_length: int) -> None:
    """Raise InvalidInput (`password-weak`) for a password that is short, common or the person's name."""
    plain = password.lower()
    rest = plain
    for word in (*_COMMON, name.lower()):
        rest = rest.replace(word, "")
    if len(password) < min_length:
        why = f"it has {len(password)} characters and needs {min_length}"
    elif len(set(plain)) < 5:
        why = "it repeats a few characters"
    elif len(rest) < min_length // 2:
        why = "it is little more than a common word or your name"
    else:
        return
    raise InvalidInput(
        "password-weak",
        f"This password is too weak: {why}.",
        hint="Take a few unrelated words, or let a tool make one.",
    )


@functools.cache
def _nobodys() -> str:
    """A hash to check when a name is unknown, so that the answer takes as long as for a known one."""
    return _hasher.hash("no such person")
