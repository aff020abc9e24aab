"""What the file host is told of a caller: the header `X-Studiolo-Files`, base64url JSON, believed with the secret."""

import base64
import json
from dataclasses import asdict, dataclass
from typing import Any

from studiolo.contract.errors import NotSignedIn

HEADER = "X-Studiolo-Files"
SECRET_HEADER = "X-Studiolo-Secret"  # noqa: S105


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, in which workspace, for what. `login`: the id of the login or key; `folder`: the workspace's."""

    workspace: str
    folder: str
    operation: str
    person: str
    login: str

    def as_json(self) -> dict[str, Any]:
        """Return the members by name."""
        return asdict(self)


def caller_header(caller: Caller) -> str:
    """Return the header's value."""
    return base64.urlsafe_b64encode(json.dumps(caller.as_json()).encode()).decode()


def read_caller(header: str) -> Caller:
    """Read the header's value. Raises NotSignedIn."""
    try:
        return caller_of(json.loads(base64.urlsafe_b64decode(header)))
    except ValueError as exc:
        raise NotSignedIn("not-signed-in", "The front door's answer is not understood.", detail=repr(exc)) from exc


def caller_of(found: Any) -> Caller:
    """Return the caller whose members these are. Raises ValueError."""
    try:
        return Caller(**{name: str(found[name]) for name in Caller.__slots__})
    except (KeyError, TypeError) as exc:
        raise ValueError(f"no caller: {found!r}") from exc
