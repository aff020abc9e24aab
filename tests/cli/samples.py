"""One of everything that a platform hands out."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

MOMENT = "2026-11-21T04:00:00Z"
ANA = {"id": "p-ana", "name": "ana", "display_name": "Ana Ruiz"}
ME = {**ANA, "email": "ana@example.com", "is_admin": True, "has_password": True, "scopes": None}
NOTICE = "Anyone with a session on this machine can read everyone's files here."
PLATFORM = {"version": "1", "address": "http://localhost", "instance": "i", "isolation": "L0"}
PLATFORM |= {"isolation_notice": NOTICE, "single_team": False}
WORKSPACE = {
    "id": "w-7k2m9q4x0c5t8v1b",
    "name": "churn",
    "owner": ANA,
    "description": "Who leaves, and why",
    "role": "owner",
    "created_at": MOMENT,
    "modified_at": MOMENT,
    "path": "/srv/churn",
    "environment": {"state": "ready", "message": None, "python": None},
    "running_sessions": 1,
    "member_count": 1,
}
SESSION = {
    "id": "s-7k2m9q4x0c5t8v1b",
    "name": "lab-1",
    "workspace": {"id": WORKSPACE["id"], "name": "churn", "owner": "ana"},
    "person": ANA,
    "engine": "local",
    "state": "running",
    "desired": "running",
    "launch": 1,
    "steps": [],
    "reason": None,
    "activity": None,
    "has_password": False,
    "isolation": "L0",
    "notebook_url": "http://localhost:8888/go/s-7k2m9q4x0c5t8v1b",
    "api_url": "http://localhost:8888/s/s-7k2m9q4x0c5t8v1b/",
    "created_at": MOMENT,
    "started_at": MOMENT,
    "ready_at": MOMENT,
    "ended_at": None,
}
MEMBER = {"person": ANA, "role": "editor", "since": MOMENT}
KEY = {"id": "k-1", "name": "laptop", "prefix": "stu_ab", "scopes": ["sessions:read"]}
KEY |= {"created_at": MOMENT, "expires_at": "2027-01-01T00:00:00Z", "last_used_at": None}
PERSON = {**ANA, "email": None, "is_admin": True, "created_at": MOMENT, "last_seen_at": None}
LINK = {"url": "http://localhost:8888/sign-in/abc", "expires_at": MOMENT, "person": ANA, "notice": NOTICE}
EVENT = {"id": "a-1", "sequence": 1, "at": MOMENT, "actor": ANA, "via": "key", "action": "workspace.create"}
EVENT |= {"target": "churn", "workspace_id": None, "detail": {}}


@dataclass(frozen=True)
class Ran:
    """What a command line did."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """Stdout as JSON."""
        return json.loads(self.out)


Run = Callable[..., Ran]


def page(*items: Any) -> dict[str, Any]:
    return {"items": list(items), "next_cursor": None}
