"""Settings of the platform's own machine."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field

from studiolo.contract.errors import InvalidInput
from studiolo.runtime import enclosure
from studiolo.runtime.acting import HIGHEST, LOWEST, is_possible

_TRIAL_SECONDS = 30
_LONGEST = 500


class LocalSettings(BaseModel):
    """Who owns the files of workspaces on this machine, and what its sessions see of it."""

    accounts: Literal["off", "on"] = Field(
        "off", description="`on`: each workspace has a user and group number of its own; needs Linux and root."
    )
    first_account: int = Field(
        LOWEST,
        ge=LOWEST,
        le=HIGHEST,
        description="The first of these numbers; nothing else on the machine may use it or those above.",
    )
    namespaces: Literal["off", "on"] = Field(
        "off",
        description="`on`: sessions and kernels live in mounts, IPC and a network of their own, out of which only the "
        "platform is reached; needs accounts, and Linux 5.12 or newer.",
    )
    shown: list[Path] = Field(
        [], description="Folders of the machine that they can read there, besides its programs and their own."
    )

    def check(self) -> None:
        """Raise InvalidInput (`settings-invalid`) where workspaces shall have what they cannot have here. Blocking."""
        if self.accounts == "on" and not is_possible():
            who = f"this is user {os.geteuid()}" if sys.platform == "linux" else f"this is {sys.platform}"
            raise InvalidInput(
                "settings-invalid",
                f"local.accounts is on, which needs Linux on x86-64 or ARM, and root; {who}.",
                hint="Start the platform as root, or set local.accounts to off (STUDIOLO_LOCAL__ACCOUNTS=off).",
            )
        if self.namespaces == "on":
            self._check_namespaces()

    def _check_namespaces(self) -> None:
        hint = "Or set local.namespaces to off (STUDIOLO_LOCAL__NAMESPACES=off)."
        if self.accounts == "off":
            raise InvalidInput(
                "settings-invalid",
                "local.namespaces is on, and local.accounts is off: what keeps to its namespaces is an account.",
                hint=f"Set local.accounts to on (STUDIOLO_LOCAL__ACCOUNTS=on). {hint}",
            )
        if strange := [str(path) for path in self.shown if not path.is_absolute() or ".." in path.parts]:
            raise InvalidInput(
                "settings-invalid", f"local.shown names {strange[0]!r}.", hint="Folders there begin with a slash."
            )
        # A process that has them keeps them: another one tries.
        trial = [sys.executable, "-P", "-m", enclosure.__name__]
        tried = subprocess.run(trial, capture_output=True, text=True, check=False, timeout=_TRIAL_SECONDS)
        if tried.returncode:
            raise InvalidInput(
                "settings-invalid",
                f"local.namespaces is on, and this machine does not give them: {tried.stderr.strip()[-_LONGEST:]}",
                hint=f"It needs Linux 5.12 or newer, and no container around the platform that forbids them. {hint}",
            )
