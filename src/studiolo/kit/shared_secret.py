"""A secret in a file by which parts of the platform know each other: control plane, front door, and a host beside."""

import contextlib
import hmac
import os
import secrets
from pathlib import Path


def load_shared_secret(file: Path) -> str:
    """Return the secret in `file`, making it (mode 0600) when there is none. Raises OSError."""
    with contextlib.suppress(FileNotFoundError):
        if text := file.read_text().strip():
            return text
    fresh = file.with_name(f"{file.name}.{os.getpid()}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as made:
        made.write(secrets.token_urlsafe(32) + "\n")
    try:
        # A link fails if another process made it first: then that one holds.
        os.link(fresh, file)
    except FileExistsError:
        if not file.read_text().strip():
            fresh.replace(file)
    finally:
        fresh.unlink(missing_ok=True)
    return file.read_text().strip()


def is_shared(given: str, secret: str) -> bool:
    """Tell in constant time whether a header is the secret; headers may hold bytes that are no UTF-8."""
    return bool(secret) and hmac.compare_digest(given.encode(errors="surrogatepass"), secret.encode())
