"""TLS of a gateway that stands alone: a certificate and its key, checked before use, read again when renewed."""

import asyncio
import logging
import os
import ssl
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from studiolo.contract.errors import InvalidInput

# Accounts that may read a key beside its owner: a group is made for it (Debian's ssl-cert); nobody else changes it.
_FORBIDDEN_MODE = stat.S_IWGRP | stat.S_IRWXO
_LOOK_SECONDS = 60.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate and its key, PEM files. `key` None: it is in the certificate's file."""

    file: Path
    key: Path | None = None

    def context(self) -> ssl.SSLContext:
        """Return what a listener needs. Raises InvalidInput (`certificate-unusable`) with what to do."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.set_alpn_protocols(["http/1.1"])
        self.load_into(context)
        return context

    def load_into(self, context: ssl.SSLContext) -> None:
        """Have a listener's next connections use what the files hold now. Raises InvalidInput."""
        key = self.key or self.file
        _check_readable(self.file, "certificate")
        _check_key(key)
        try:
            context.load_cert_chain(self.file, self.key, password=_no_password)
        except (ValueError, OSError) as exc:
            raise _unusable(*self._explain(exc)) from exc

    async def follow(self, context: ssl.SSLContext, *, pause_seconds: float = _LOOK_SECONDS) -> None:
        """Load the files into `context` again whenever they are replaced: certificates are renewed every few weeks."""
        known = self._state()
        while True:
            await asyncio.sleep(pause_seconds)
            found = self._state()
            if found == known or None in found.values():
                continue
            try:
                # Tried apart: where a pair does not fit, a context has lost the former one.
                self.context()
                self.load_into(context)
            except InvalidInput as exc:
                _log.warning("%s The former one is used on.", exc.message)
            known = found

    def _state(self) -> Mapping[Path, tuple[int, int, int] | None]:
        return {file: _identity(file) for file in (self.file, self.key or self.file)}

    def _explain(self, error: Exception) -> tuple[str, str]:
        key = self.key or self.file
        if not isinstance(error, ssl.SSLError):
            if isinstance(error, OSError):
                return f"{self.file} or {key} cannot be read: {error.strerror or error}.", "Make them readable."
            return f"The key {key} is protected by a password.", f"Take it off: openssl pkey -in {key} -out NEW"
        if error.reason == "KEY_VALUES_MISMATCH":
            return f"The certificate {self.file} and the key {key} do not belong together.", "Name the two of one pair."
        hint = "Give PEM files: the certificate, then those that signed it, with --certfile; its key with --keyfile."
        what = f"{self.file} holds no certificate" if self.key else f"{self.file} holds no certificate with its key"
        return f"{what}, or {key} no key: they are no PEM files of their kind.", hint


def certificate_of(certfile: Path | None, keyfile: Path | None) -> Certificate | None:
    """Return what two flags name; None: no TLS. Raises InvalidInput (`usage-invalid`)."""
    if certfile is None and keyfile is not None:
        raise InvalidInput("usage-invalid", "--keyfile is the key of a certificate.", hint="Give --certfile too.")
    return None if certfile is None else Certificate(certfile, keyfile)


def _check_readable(file: Path, what: str) -> None:
    try:
        with file.open("rb") as opened:
            is_file = stat.S_ISREG(os.fstat(opened.fileno()).st_mode)
    except OSError as exc:
        hint = "Give the path of a PEM file that this account can read."
        raise _unusable(f"The {what} {file} cannot be read: {exc.strerror or exc}.", hint) from exc
    if not is_file:
        raise _unusable(f"The {what} {file} is no file.", "Give the path of a PEM file.")


def _check_key(file: Path) -> None:
    _check_readable(file, "key")
    mode = stat.S_IMODE(file.stat().st_mode)
    if mode & _FORBIDDEN_MODE:
        words = "others on this machine can get at it"
        raise _unusable(f"The key {file} is not private: {words} (mode {mode:04o}).", f"chmod 600 {file}")


def _identity(file: Path) -> tuple[int, int, int] | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def _no_password() -> str:
    # Asked on the terminal otherwise.
    raise ValueError("the key is protected by a password")


def _unusable(message: str, hint: str) -> InvalidInput:
    return InvalidInput("certificate-unusable", message, hint=hint)
