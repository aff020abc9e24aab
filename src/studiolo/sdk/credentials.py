"""Which platform to talk to and with what key: arguments, environment, this machine's platform, saved sign-ins.

The first of these that names an address decides:

1. the arguments `url` and `key`
2. STUDIOLO_URL
3. STUDIOLO_DATA_DIR or STUDIOLO_PORT, which name a platform of this machine
4. the current entry of the credentials file

STUDIOLO_KEY, or the file that STUDIOLO_KEY_FILE names, is the key for 2 and 3. Otherwise the key saved for that
address is used. A saved key never goes to another address than the one it was saved for.

The credentials file is `$XDG_CONFIG_HOME/studiolo/credentials.json`, readable by its owner alone:
`{"current": URL, "platforms": {URL: {"key": KEY, "person": NAME, "authority": FILE or null}}}`.
"""

import fcntl
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from studiolo.contract.errors import InvalidInput, NotSignedIn, Unavailable
from studiolo.sdk.address import is_loopback, normal_address, port_of

_UP_OR_LOGIN = "Start one here with `studiolo up`, or sign in to one elsewhere with `studiolo login URL`."


@dataclass(frozen=True, slots=True)
class Credentials:
    """An address without a trailing slash, the key for it if one is known, and where they come from.

    `authority`: PEM file of the authority that signed the certificate of a platform of this machine.
    """

    url: str
    key: str | None = field(repr=False)
    source: str
    person: str | None = None
    authority: str | None = None


def find_credentials(
    url: str | None = None, key: str | None = None, *, environ: Mapping[str, str] | None = None
) -> Credentials:
    """Return the address to use and its key.

    Raises NotSignedIn (`not-configured`) if nothing names a platform, Unavailable (`not-running`) if
    STUDIOLO_DATA_DIR names a data directory on which none runs, InvalidInput if an address cannot be right.
    """
    env = os.environ if environ is None else environ
    saved = _load(credentials_file(env))
    if url:
        return _with_saved_key(normal_address(url), key, "the address given", saved)
    environment_key = key or _key_from(env)
    if named := env.get("STUDIOLO_URL"):
        return _with_saved_key(normal_address(named), environment_key, "STUDIOLO_URL", saved)
    if env.get("STUDIOLO_DATA_DIR") or env.get("STUDIOLO_PORT"):
        address, source = _local_platform(env, saved)
        return _with_saved_key(address, environment_key, source, saved)
    if environment_key:
        raise NotSignedIn(
            "not-configured",
            "A key is given, but no address of the platform that it belongs to.",
            hint="Set STUDIOLO_URL as well.",
        )
    if current := saved["current"]:
        return _with_saved_key(current, None, str(credentials_file(env)), saved)
    raise NotSignedIn("not-configured", "No platform is known here.", hint=_UP_OR_LOGIN)


def credentials_file(environ: Mapping[str, str] | None = None) -> Path:
    """Return where sign-ins are saved; the file need not exist."""
    env = os.environ if environ is None else environ
    base = env.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "studiolo" / "credentials.json"


def store(url: str, key: str, person: str, make_current: bool = True, authority: Path | None = None) -> None:
    """Save a key for an address, replacing an older one; safe against others who save at the same moment."""
    with _changing(credentials_file()) as saved:
        address = normal_address(url)
        saved["platforms"][address] = {
            "key": key,
            "person": person,
            "authority": str(authority) if authority else None,
        }
        if make_current or not saved["current"]:
            saved["current"] = address


def forget(url: str) -> None:
    """Remove what is saved for an address; nothing saved is fine."""
    with _changing(credentials_file()) as saved:
        address = normal_address(url)
        saved["platforms"].pop(address, None)
        if saved["current"] == address:
            saved["current"] = next(iter(saved["platforms"]), None)


def saved_addresses() -> list[str]:
    """Return the addresses for which a key is saved, the current one first."""
    saved = _load(credentials_file())
    return sorted(saved["platforms"], key=lambda address: (address != saved["current"], address))


def _with_saved_key(url: str, key: str | None, source: str, saved: dict[str, Any]) -> Credentials:
    entry = saved["platforms"].get(url) or {}
    person = None if key else entry.get("person")
    return Credentials(url, key or entry.get("key"), source, person, entry.get("authority"))


def _key_from(env: Mapping[str, str]) -> str | None:
    if key := env.get("STUDIOLO_KEY"):
        return key.strip()
    if not (name := env.get("STUDIOLO_KEY_FILE")):
        return None
    try:
        return Path(name).read_text().strip()
    except (OSError, UnicodeDecodeError) as exc:
        raise InvalidInput(
            "key-file-unreadable",
            f"The file that STUDIOLO_KEY_FILE names cannot be read: {exc}.",
            hint="Name a file that holds a key and nothing else, or unset STUDIOLO_KEY_FILE.",
        ) from exc


def _local_platform(env: Mapping[str, str], saved: dict[str, Any]) -> tuple[str, str]:
    """Return the address of a platform of this machine and what named it."""
    port = env.get("STUDIOLO_PORT", "")
    if folder := env.get("STUDIOLO_DATA_DIR"):
        record = Path(folder).expanduser() / "platform.json"
        try:
            return normal_address(json.loads(record.read_text())["address"]), f"STUDIOLO_DATA_DIR={folder}"
        except FileNotFoundError:
            raise Unavailable(
                "not-running", f"No platform runs on {folder}.", hint="Start it with `studiolo up`."
            ) from None
        except (OSError, ValueError, KeyError, TypeError) as exc:
            raise Unavailable(
                "not-running",
                f"{record} cannot be read: {exc}.",
                hint="Start the platform again with `studiolo up`, which writes it.",
            ) from exc
    for address in saved["platforms"]:
        if is_loopback(address) and str(port_of(address)) == port:
            return address, f"STUDIOLO_PORT={port}"
    return normal_address(f"http://localhost:{port}"), f"STUDIOLO_PORT={port}"


def _load(file: Path) -> dict[str, Any]:
    """Return what is saved, in the shape of the file; an absent file is empty."""
    try:
        saved = json.loads(file.read_text())
    except FileNotFoundError:
        saved = {}
    except (OSError, ValueError) as exc:
        raise InvalidInput(
            "credentials-file-unusable", f"{file} cannot be read: {exc}.", hint=f"Mend or remove {file}."
        ) from exc
    platforms = saved.get("platforms") if isinstance(saved, dict) else None
    if not isinstance(platforms, dict):
        return {"current": None, "platforms": {}}
    current = saved.get("current")
    return {"current": current if current in platforms else None, "platforms": platforms}


@contextmanager
def _changing(file: Path) -> Iterator[dict[str, Any]]:
    """Yield what is saved and write it back whole; one writer at a time."""
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with file.with_suffix(".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            saved = _load(file)
            yield saved
            # mkstemp makes the file 0600; the rename keeps that.
            handle, name = tempfile.mkstemp(dir=file.parent, prefix=".credentials-")
            with os.fdopen(handle, "w") as out:
                json.dump(saved, out, indent=2)
                out.write("\n")
            Path(name).replace(file)
    except OSError as exc:
        raise InvalidInput(
            "credentials-file-unusable",
            f"{file} cannot be written: {exc}.",
            hint="Make its folder writable, or set XDG_CONFIG_HOME to one that is.",
        ) from exc
