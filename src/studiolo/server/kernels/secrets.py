"""Secrets of headless kernels: derived from the master key, so that no copy lies in the database."""

import contextlib
import os
from pathlib import Path

from studiolo.kit.crypto import MasterKey, token_from


class KernelSecrets:
    """The narrow API key that a kernel holds."""

    def __init__(self, master: MasterKey) -> None:
        self._master = master

    def api_key(self, kernel_id: str) -> str:
        """The key; it reads the kernel's own workspace, and dies with the kernel."""
        return token_from("stk", self._master.digest("kernel-key", kernel_id))

    def write_key(self, file: Path, kernel_id: str) -> None:
        """Put the key where the kernel finds it, readable by this account alone. Raises OSError."""
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as written:
            written.write(self.api_key(kernel_id))

    def remove_key(self, file: Path) -> None:
        """Remove it, and the netrc file beside it; success if there is none."""
        for secret in (file, netrc_file(file)):
            with contextlib.suppress(OSError):
                secret.unlink(missing_ok=True)


def netrc_file(key_file: Path) -> Path:
    """Return where the tools of a kernel with this key file find how to sign in."""
    return key_file.with_name(f"{key_file.name}.netrc")
