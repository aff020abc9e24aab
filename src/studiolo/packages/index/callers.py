"""What the index host is told of a caller: the header `X-Studiolo-Index`, base64url JSON, believed with the secret."""

import base64
import json
from dataclasses import asdict, dataclass
from functools import lru_cache

from studiolo.contract.errors import NotSignedIn

HEADER = "X-Studiolo-Index"
SECRET_HEADER = "X-Studiolo-Secret"  # noqa: S105


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and by which policy they are answered.

    `workspace`: its id, `workspace_name` as people type it; `policy`: the hash of the one in force; `session`: an id,
    empty outside sessions; `cause`: client, planner, build or image.
    """

    workspace: str
    workspace_name: str
    policy: str
    person: str
    session: str
    cause: str


def caller_header(caller: Caller) -> str:
    """Return the header's value."""
    return base64.urlsafe_b64encode(json.dumps(asdict(caller)).encode()).decode()


# An installer asks some hundred times in a row.
@lru_cache(maxsize=1000)
def read_caller(header: str) -> Caller:
    """Read the header's value. Raises NotSignedIn."""
    try:
        found = json.loads(base64.urlsafe_b64decode(header))
        return Caller(**{name: str(found[name]) for name in Caller.__slots__})
    except (ValueError, KeyError, TypeError) as exc:
        raise NotSignedIn("not-signed-in", "The front door's answer is not understood.", detail=repr(exc)) from exc
