"""Settings of the platform's own machine."""

import os
import sys
from typing import Literal

from pydantic import BaseModel, Field

from studiolo.contract.errors import InvalidInput
from studiolo.runtime.acting import HIGHEST, LOWEST, is_possible


class LocalSettings(BaseModel):
    """Who owns the files of workspaces on this machine."""

    accounts: Literal["off", "on"] = Field(
        "off", description="`on`: each workspace has a user and group number of its own; needs Linux and root."
    )
    first_account: int = Field(
        LOWEST,
        ge=LOWEST,
        le=HIGHEST,
        description="The first of these numbers; nothing else on the machine may use it or those above.",
    )

    def check(self) -> None:
        """Raise InvalidInput (`settings-invalid`) where workspaces shall have accounts and cannot."""
        if self.accounts == "on" and not is_possible():
            who = f"this is user {os.geteuid()}" if sys.platform == "linux" else f"this is {sys.platform}"
            raise InvalidInput(
                "settings-invalid",
                f"local.accounts is on, which needs Linux on x86-64 or ARM, and root; {who}.",
                hint="Start the platform as root, or set local.accounts to off (STUDIOLO_LOCAL__ACCOUNTS=off).",
            )
