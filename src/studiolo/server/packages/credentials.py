"""Credentials of what the platform itself runs against its index: builds and planners. Short-lived, kept nowhere.

One is `stx_{members}.{seal}`: base64url JSON, and its keyed hash.
"""

import base64
import hmac
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from studiolo.contract.errors import NotSignedIn
from studiolo.kit.clock import Clock
from studiolo.kit.crypto import MasterKey

# The name that goes with one in HTTP basic; with a session's or kernel's own key it is `session`.
LOGIN = "build"
PREFIX = "stx_"
Cause = Literal["client", "planner", "build", "image"]
_LIFETIME = timedelta(hours=2)


@dataclass(frozen=True, slots=True)
class Bound:
    """What a credential is for: one workspace, one cause, on behalf of one person (empty: nobody's)."""

    workspace_id: str
    person_id: str
    session_id: str
    cause: str


class IndexCredentials:
    """Makes and reads credentials."""

    def __init__(self, clock: Clock, master: MasterKey) -> None:
        self._clock = clock
        self._master = master

    def make(
        self,
        workspace_id: str,
        *,
        cause: Cause,
        person_id: str = "",
        session_id: str = "",
        lifetime: timedelta = _LIFETIME,
    ) -> str:
        """Return a credential; hand it on by a private file, never in an address or on a command line."""
        end = int((self._clock.now() + lifetime).timestamp())
        members = json.dumps([workspace_id, person_id, session_id, cause, end])
        text = base64.urlsafe_b64encode(members.encode()).decode().rstrip("=")
        return f"{PREFIX}{text}.{self._seal(text)}"

    def read(self, credential: str) -> Bound:
        """Return what it is for. Raises NotSignedIn (`key-invalid`) for one that is not ours, or over."""
        text, _, seal = credential.removeprefix(PREFIX).partition(".")
        if not hmac.compare_digest(seal.encode(), self._seal(text).encode()):
            raise _invalid()
        workspace_id, person_id, session_id, cause, end = json.loads(base64.urlsafe_b64decode(text + "=="))
        if datetime.fromtimestamp(end, UTC) <= self._clock.now():
            raise _invalid()
        return Bound(workspace_id, person_id, session_id, cause)

    def _seal(self, text: str) -> str:
        return self._master.digest("index-credential", text)


def _invalid() -> NotSignedIn:
    return NotSignedIn("key-invalid", "This credential is not the platform's, or its time is over.")
