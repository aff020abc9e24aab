"""What is judged, and what comes of it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal

ALLOWING_CODES = frozenset({"allowed", "base", "granted"})
Ecosystem = Literal["pypi", "conda"]


class Verdict(StrEnum):
    """What an index does with a file or a project."""

    ALLOW = "allow"
    # A version or file that resolvers do not see, so that they choose another one.
    HIDE = "hide"
    # A project that stays visible and answers 403: hidden, it would have its dependants downgraded silently.
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Subject:
    """A project, a version of it, or one file; what is not known is None.

    `name` in the ecosystem's canonical form, `version` as it is written, `sha256` of the file, hexadecimal.
    """

    ecosystem: Ecosystem
    name: str
    version: str | None = None
    file: str | None = None
    channel: str | None = None
    uploaded_at: datetime | None = None
    is_wheel: bool | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What holds for a subject.

    In a dry run the verdict is `allow`, and code, rule and sentence are those of the refusal that it would be.

    `code`: stable. Refused: `blocked`, `approval-required`, `not-allowlisted`, `untrusted-channel`, `look-alike`,
    `internal-name`; hidden: `pinned`, `too-new`, `not-a-wheel`; allowed: `allowed`, `base`, `granted`.
    `rule`: the entry as somebody wrote it. `source`: where it stands, for people ("organisation policy 3, by Mia on
    3 May"). `because`: one sentence, no internals.
    """

    verdict: Verdict
    code: str
    rule: str | None
    source: str | None
    because: str
    until: datetime | None = None

    @property
    def is_allowed(self) -> bool:
        """Tell whether it may be delivered."""
        return self.verdict is Verdict.ALLOW

    @property
    def is_only_told(self) -> bool:
        """Tell whether it would be refused or hidden, were this not a dry run."""
        return self.is_allowed and self.code not in ALLOWING_CODES
