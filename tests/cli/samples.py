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
PLATFORM |= {"isolation_notice": NOTICE, "single_team": False, "package_policy": "It is advisory here."}
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
    "ends_at": MOMENT,
    "isolation_notice": NOTICE,
}
DATASET = {"id": "d-1", "name": "billing", "description": "All bills", "everybody": False, "folder": "/srv/billing"}
DATASET |= {"people": [ANA], "workspaces": [], "is_there": True, "created_at": MOMENT, "modified_at": MOMENT}
FINDING = {
    "id": "f-1",
    "rule": "secret",
    "severity": "low",
    "place": {"path": "a.py", "line": 3},
    "what": "AWS Access Key",
}
FINDING |= {"why": "It can be used.", "next_step": "Revoke it.", "accepted": None}
SCAN = {
    "id": "c-1",
    "workspace": {"id": WORKSPACE["id"], "name": "churn", "owner": "ana"},
    "at": MOMENT,
    "seconds": 2.5,
}
SCAN |= {"cause": "asked", "by": ANA, "isolation": "L0", "enforcement": "Sessions are not isolated.", "policy": None}
SCAN |= {
    "verdict": "findings",
    "summary": "1 finding: 1 low.",
    "counts": {"low": 1},
    "accepted": 0,
    "findings": [FINDING],
}
SCAN |= {"coverage": {}, "packages": []}
SCAN_PROGRESS = {"state": "done", "phase": "Done", "percent": 100, "scan": "c-1", "began_at": MOMENT}
SCAN_TEXT = "ana/churn: 1 finding: 1 low.\nIsolation L0. Sessions are not isolated.\n"
CLONE = {"state": "done", "url": "https://example.com/team/study.git", "folder": "study", "phase": "Receiving objects"}
CLONE |= {"percent": 100, "message": None, "began_at": MOMENT}
MOVE = {"state": "moved", "came": "local", "goes": "pods", "asked_by": "ana", "files_total": 2, "files_done": 2}
MOVE |= {"bytes_total": 10, "bytes_done": 10, "percent": 100, "code": None, "message": None, "began_at": MOMENT}
MOVE |= {"ended_at": None}
CHANGE = {"ecosystem": "pypi", "name": "numpy", "action": "installed", "version": "2.4.0", "previous": None}
BUILD = {"number": 2, "state": "ready", "cause": "install", "wish": "Install numpy", "base": "default", "hash": "ab12"}
BUILD |= {"changes": [CHANGE], "made_by": ANA, "session_id": None, "policy_hash": None, "made_at": MOMENT}
BUILD |= {"ended_at": MOMENT, "is_live": True}
INSTALLED = {"ecosystem": "pypi", "name": "numpy", "version": "2.4.0", "from_base": False, "installed_at": MOMENT}
IMAGE = {"id": "a" * 12, "name": "localhost/studiolo/churn-1b23da:" + "a" * 12, "state": "ready", "hash": "a" * 64}
IMAGE |= {"is_live": True, "base": "docker.io/library/python:3.12-bookworm", "size": 279 << 20, "made_at": MOMENT}
IMAGE |= {"progress": None, "left_out": [], "code": None, "message": "It was made."}
ENVIRONMENT = {"base": "default", "hash": "ab12", "python": "3.11", "build": BUILD, "building": None}
ENVIRONMENT |= {"packages": [INSTALLED], "isolation": "L0", "enforcement": "The policy is advisory here."}
BASE = {"name": "geo", "description": "Maps", "python": "3.11", "hash": "ab12", "packages": 61, "is_default": False}
BASE |= {"made_by": ANA, "made_at": MOMENT}
PLANNED = {"ecosystem": "pypi", "name": "numpy", "version": "2.4.0", "is_there": False, "verdict": "allow"}
PLANNED |= {"code": "allowed", "because": "Nothing in the policy stands against it."}
NODE = {"name": "numpy", "version": "2.4.0", "verdict": "allow", "is_there": False, "needs": []}
PLAN = {"packages": [PLANNED], "violations": [], "tree": [NODE]}
BUILD_DIFFERENCE = {"before": 1, "after": 2, "base_before": "default", "base_after": "default", "changes": [CHANGE]}
HIT = {
    "path": "a.ipynb",
    "kind": "code",
    "cell": 2,
    "cell_id": "c1",
    "line": 3,
    "text": "read_csv()",
    "marks": [[0, 8]],
}
FOUND = {"items": [HIT], "more": False, "checked_at": MOMENT, "waiting": 0, "is_cut": False}
IMPORTED = {"workspace": WORKSPACE, "files": 3, "size_bytes": 12, "members": [], "unknown_members": ["leo@example.com"]}
IMPORTED |= {"packages": ["polars==1.9"], "left_out": []}
VERSION = {
    "id": "01a1fe9aa4aa78845a5a",
    "path": "a.ipynb",
    "at": MOMENT,
    "hash": "0" * 64,
    "size": 1200,
    "by": ANA,
    "origin": "session",
    "is_current": True,
}
DELETED_FILE = {
    "id": VERSION["id"],
    "path": "a.ipynb",
    "deleted_at": MOMENT,
    "erased_after": MOMENT,
    "by": ANA,
    "size": 1200,
}
_LINE = {"change": "added", "text": "print(1)"}
DIFFERENCE = {
    "path": "a.ipynb",
    "before": VERSION["id"],
    "after": "now",
    "is_notebook": True,
    "is_comparable": True,
    "same_cells": 1,
    "has_other_metadata": False,
    "cells": [
        {
            "change": "changed",
            "kind": "code",
            "before": 1,
            "after": 2,
            "lines": [_LINE],
            "has_other_outputs": True,
            "output_bytes_before": 0,
            "output_bytes_after": 5000,
        }
    ],
    "lines": [],
    "is_cut": False,
}
FILE = {"name": "a.ipynb", "path": "a.ipynb", "kind": "file", "size": 512, "modified_at": MOMENT, "etag": '"1-200-3"'}
REQUEST = {
    "id": "r-7k2m9q4x0c5t8v1b",
    "workspace": {"id": "w-7k2m9q4x0c5t8v1b", "name": "churn", "owner": "ana"},
    "ecosystem": "pypi",
    "name": "torch",
    "specifier": "",
    "state": "pending",
    "judged": {
        "verdict": "refuse",
        "code": "approval-required",
        "rule": "approval_required: torch",
        "source": "organisation policy 3, by Mia",
        "because": "torch needs an approval.",
    },
    "people": [{"person": ANA, "purpose": "survival", "specifier": "", "asked_at": MOMENT}],
    "asked_at": MOMENT,
    "closure": {
        "state": "ready",
        "message": None,
        "packages": [
            {
                "name": "torch",
                "version": "2.9.0",
                "is_there": False,
                "judged": {"verdict": "allow", "code": "allowed", "rule": None, "source": None, "because": ""},
                "via": [],
                "size_bytes": 5 << 20,
                "uploaded_at": MOMENT,
                "licence": "BSD-3-Clause",
                "maintainers": None,
                "vulnerabilities": None,
            }
        ],
    },
    "decided_by": None,
    "decided_at": None,
    "reason": None,
    "scope": None,
    "until": None,
    "install_state": None,
    "build": None,
    "install_message": None,
}
NOTIFICATION = {
    "id": "n-7k2m9q4x0c5t8v1b",
    "kind": "request.approved",
    "text": "six is allowed in churn.",
    "link": "/requests?request=r-7k2m9q4x0c5t8v1b",
    "at": MOMENT,
    "read_at": None,
}
BACKUP = {
    "name": "studiolo-20261121T031000Z",
    "folder": "/srv/backups/studiolo-20261121T031000Z",
    "began_at": MOMENT,
    "ended_at": MOMENT,
    "version": "1",
    "files": 12,
    "workspaces": 2,
    "people": 3,
    "size_bytes": 5 << 20,
    "copied_bytes": 1 << 20,
    "left_out": 0,
}
BACKUP_PROGRESS = {"state": "done", "began_at": MOMENT, "done_bytes": 1 << 20, "total_bytes": 1 << 20, "message": None}
BACKUPS = {"folder": "/srv/backups", "nightly_at": "03:10", "keep": 7, "current": BACKUP_PROGRESS, "items": [BACKUP]}
KERNEL = {
    "id": "0b9e2c34-7a51-4f0e-9d35-52d0f6b8a001",
    "name": "python3",
    "display_name": "Python 3 (ipykernel)",
    "workspace": SESSION["workspace"],
    "session_id": None,
    "engine": "local",
    "person": ANA,
    "path": "train.ipynb",
    "state": "idle",
    "connections": 1,
    "output": 2,
    "started_at": MOMENT,
    "last_active_at": MOMENT,
    "api_url": f"http://localhost:8888/w/{WORKSPACE['id']}/",
}
KERNELSPEC = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python", "is_default": True}


def published(number: int, kind: str, content: dict[str, Any]) -> dict[str, Any]:
    """An entry of a kernel's journal."""
    message = {"channel": "iopub", "header": {"msg_type": kind}, "parent_header": {}, "metadata": {}}
    return {"number": number, "at": MOMENT, "parent": "m-1", "cell": None, "message": message | {"content": content}}


MEMBER = {"person": ANA, "role": "editor", "since": MOMENT}
KEY = {"id": "k-1", "name": "laptop", "prefix": "stu_ab", "scopes": ["sessions:read"]}
KEY |= {"created_at": MOMENT, "expires_at": "2027-01-01T00:00:00Z", "last_used_at": None}
PERSON = {**ANA, "email": None, "is_admin": True, "created_at": MOMENT, "last_seen_at": None}
LINK = {"url": "http://localhost:8888/sign-in/abc", "expires_at": MOMENT, "person": ANA, "notice": NOTICE}
INVITATION = {"id": "i-1", "to": "leo@example.com", "is_admin": False, "invited_by": ANA, "mailed_at": None}
INVITATION |= {"workspaces": [{"workspace": {"id": "w-1", "name": "churn", "owner": "ana"}, "role": "editor"}]}
INVITATION |= {"created_at": MOMENT, "expires_at": MOMENT}
INVITED = {**INVITATION, "url": "http://localhost:8888/join?invitation=sti_a", "text": "Open this link.\n"}
ACCESS = {"person": PERSON, "keys": [KEY], "logins": [], "sessions": [SESSION]}
ACCESS |= {"workspaces": [{"workspace": SESSION["workspace"], "role": "editor", "since": MOMENT, "through": "given"}]}
ACCESS["workspaces"][0]["last_there_at"] = MOMENT  # type: ignore[index]
HANDED = {"person": ANA, "to": ANA, "workspaces": [{"id": "w-1", "name": "churn-2", "former_name": "churn"}]}
BANNER = {"id": "b-1", "text": "Restart at noon", "level": "info", "posted_at": MOMENT, "posted_by": ANA, "until": None}
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


ENFORCEMENT = {"cpu": "cgroup-v2", "memory": "cgroup-v2", "processes": "cgroup-v2", "note": "By control groups."}
RESOURCES = {"cpu": 4, "memory": 8 << 30}
LIMITS = {"resources": RESOURCES, "profile": "medium", "own": {"cpu": 4}, "largest": {"cpu": 16}}
LIMITS |= {"enforcement": ENFORCEMENT, "disk_used": 3 << 20}
PROFILES = {"profiles": [{"name": "medium", "resources": RESOURCES}], "default": "medium", "only_profiles": False}
PROFILES |= {"largest": {"cpu": 16}, "gpu_types": {"a100": "80 GB"}}
VOLUME = {"name": "genomes", "description": "Reference genomes", "read_only": True, "engines": ["container"]}
PROFILES |= {"volumes": [VOLUME]}
ENGINE = {"name": "local", "isolation": "L0", "healthy": True, "enforcement": ENFORCEMENT, "images": False}
ENGINE |= {"isolation_words": "Processes of one account.", "storage": "shared", "default": True}
ENGINE |= {"capacity": {"cpu": 8, "cpu_claimed": 4, "memory": 16 << 30, "memory_claimed": 8 << 30}}
GPU_WAIT = {"engine": "local", "count": 2, "type": "a100", "since": MOMENT, "told_at": None}
GPU = {"id": "GPU-5a3e7d52", "engine": "local", "type": "a100", "model": "NVIDIA A100", "memory": 40 << 30}
GPU |= {"memory_used": 1 << 30, "utilisation": 0.37, "holder": None}
GPU_HOLDER = {"person": ANA, "since": MOMENT, "kind": "session", "session": "s-0000000000000000"}
GPU_HOLDER |= {"workspace": {"id": "w-0000000000000000", "name": "churn", "owner": "ana"}}
GPUS = {"gpus": [GPU, GPU | {"id": "GPU-9c0b8a17", "holder": GPU_HOLDER}], "waiting": GPU_WAIT}
SAMPLE = {"at": MOMENT, "cpu": 1.25, "memory": 2 << 30, "processes": 7}
DEATH = {"at": MOMENT, "what": "kernel", "name": "train.ipynb", "peak": 8 << 30, "limit": 8 << 30}
DEATH |= {"message": "The kernel of train.ipynb ran out of memory at 8 GiB of 8 GiB; take a larger size."}
USAGE = {"now": SAMPLE, "limits": RESOURCES, "enforcement": ENFORCEMENT, "memory_peak": 3 << 30, "history": [SAMPLE]}
USAGE |= {"deaths": [DEATH]}
STATS = {"running_sessions": 1, "cpu": 1.25, "memory": 2 << 30, "disk": None, "kernels": 2, "busy_kernels": 1}
STATS |= {"session_hours": 12.5, "launches": 3, "since": MOMENT}
METADATA = {"id": WORKSPACE["id"], "name": "churn", "owner": ANA, "description": "Why", "created_at": MOMENT}
METADATA |= {"modified_at": MOMENT, "config": {"resources": RESOURCES}, "experiments": [], "sessions": 3}
METADATA |= {"usage": {"session_hours": 12.5, "memory_peak": 3 << 30}, "packages": [{"name": "numpy", "version": "2"}]}
METADATA |= {"executions": [{"path": "train.ipynb", "at": MOMENT, "session": None}]}
EXPORT = {"exported_at": MOMENT, "metadata": METADATA, "members": [MEMBER], "config_file": "profile: medium\n"}
TRASHED = {"id": "w-0000000000000000", "name": "old", "owner": ANA, "deleted_at": MOMENT, "erased_after": MOMENT}
DISK = {"total": 100 << 30, "free": 9 << 30, "is_nearly_full": True, "measured": True, "limits": "Only measured."}
DISK |= {"parts": [{"name": "caches", "size": 1 << 30, "words": "Made again.", "free_as": "caches"}]}
DISK |= {
    "largest": [
        {"workspace": {"id": WORKSPACE["id"], "name": "churn", "owner": "ana"}, "size": 5, "measured_at": MOMENT}
    ]
}
FREED = {"freed": {"caches": 1 << 30}, "free": 10 << 30}
HEALTH = {"verdict": "All is well.", "ok": True, "people": 1, "workspaces": 2, "running_sessions": 1}
HEALTH |= {"idle_sessions": 0, "disk_total": 4 << 30, "disk_free": 1 << 30}
HEALTH |= {"parts": [{"name": "database", "ok": True, "message": "answers"}]}
DEVICE = {"device_code": "std_x", "user_code": "WDJB-MJHT", "verification_uri": "http://p/sign-in/device"}
DEVICE |= {"verification_uri_complete": "http://p/sign-in/device?code=WDJB-MJHT", "expires_in": 600, "interval": 0}
RULE = {"entry": "socket", "kind": "module", "source": "organisation policy 3", "limits": "socket is a module."}
REVISION = {
    "number": 3,
    "document": "package_management: {}\n",
    "note": "No sockets",
    "made_by": ANA,
    "made_at": MOMENT,
}
GRANT = {"id": "g-1", "kind": "approval", "ecosystem": "pypi", "name": "torch", "specifier": "==2.9"}
GRANT |= {"reason": "training", "by": "approved by Mia", "until": None}
POLICY = {"scope": "workspace", "workspace": "churn", "number": 7, "hash": "ab" * 32, "notes": [], "sources": {}}
POLICY |= {"trusted_channels": ["defaults"], "internal_names": ["acme-*"], "blocked_packages": [RULE], "pins": []}
POLICY |= {"approval_required": [], "allowlist": [], "grants": [GRANT], "mode": "open", "transitive": "closure"}
POLICY |= {"on_blocked_dependency": "fail", "wheels_only": True, "cooldown_days": 7, "cooldown_exempt_channels": []}
POLICY |= {"startup_blocked_packages": None, "code_rules": "report", "dry_run": False, "revision": REVISION}
POLICY |= {"document": REVISION["document"]}
JUDGEMENT = {
    "ecosystem": "pypi",
    "name": "six",
    "version": "1.17.0",
    "verdict": "allow",
    "code": "allowed",
    "rule": None,
}
JUDGEMENT |= {"source": None, "because": "Nothing stands against it.", "until": None, "is_only_told": False}
REFUSED = JUDGEMENT | {"verdict": "refuse", "code": "blocked", "rule": "blocked_packages: six"}
OUTLOOK = {"workspaces": 1, "packages": 2, "notes": []}
OUTLOOK |= {"changes": [{"workspace": "churn", "where": "installed", "before": JUDGEMENT, "after": REFUSED}]}
