"""Every operation and who may do it, as data: the table that is both enforced and documented.

A route names its operation; start-up fails for one that does not. A service asks `Principal.require` with
the same name. `role` is the least workspace role, None where no workspace is concerned.
"""

from dataclasses import dataclass
from enum import IntEnum, StrEnum


class Role(StrEnum):
    """Roles on a workspace, strongest first."""

    OWNER = "owner"
    EDITOR = "editor"
    VIEWER = "viewer"

    @property
    def strength(self) -> int:
        """Higher includes lower."""
        return {"owner": 3, "editor": 2, "viewer": 1}[self.value]

    def includes(self, other: "Role") -> bool:
        """Tell whether this role may do what `other` may."""
        return self.strength >= other.strength


class Access(IntEnum):
    """Who may call an operation at all."""

    PUBLIC = 0
    SIGNED_IN = 1
    ADMIN = 2


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that can be done. `scope`: what a key needs for it; None for public operations."""

    name: str
    access: Access
    scope: str | None
    role: Role | None
    summary: str


SCOPES: dict[str, str] = {
    "account:read": "See your own account and keys.",
    "account:write": "Change your own account, make and revoke keys.",
    "workspaces:read": "See workspaces, their members and activity.",
    "workspaces:write": "Create, change and delete workspaces and their members.",
    "packages:read": "Install packages from workspaces' indexes.",
    "packages:write": "Install and remove packages of workspaces' environments.",
    "files:read": "Read files of workspaces.",
    "files:write": "Write and delete files of workspaces.",
    "sessions:read": "See sessions and their logs.",
    "sessions:write": "Start, stop and enter sessions.",
    "platform:admin": "Administer people and the platform (administrators only).",
    "platform:metrics": "Read the platform's metrics (administrators only).",
}

# What a scope holds besides itself: whoever may enter a session reads and writes the files in it.
SCOPE_HOLDS: dict[str, frozenset[str]] = {
    "sessions:write": frozenset({"files:read", "files:write"}),
    "files:write": frozenset({"files:read"}),
    "workspaces:write": frozenset({"packages:write"}),
}

# What a gateway key holds, and nothing else does: it opens kernels through Jupyter's own API, and no route of ours.
GATEWAY_SCOPE = "kernels"

_PUBLIC, _USER, _ADMIN = Access.PUBLIC, Access.SIGNED_IN, Access.ADMIN

OPERATIONS: dict[str, Operation] = {
    name: Operation(name, access, scope, role, summary)
    for name, access, scope, role, summary in (
        ("platform.health", _PUBLIC, None, None, "Ask whether the API answers"),
        ("platform.describe", _PUBLIC, None, None, "Version, address and how to sign in"),
        ("account.sign-in", _PUBLIC, None, None, "Sign in by password or one-time link"),
        ("account.sign-in-hub", _PUBLIC, None, None, "Sign in with a JupyterHub"),
        ("account.sign-in-device", _PUBLIC, None, None, "Begin and finish signing in without a browser"),
        ("account.approve-device", _USER, "account:write", None, "Approve a sign-in without a browser"),
        ("account.sign-out", _PUBLIC, None, None, "End this login"),
        ("account.read", _USER, "account:read", None, "See your account, logins and keys"),
        ("account.update", _USER, "account:write", None, "Change your password, sign out everywhere"),
        ("key.create", _USER, "account:write", None, "Make an API key"),
        ("key.revoke", _USER, "account:write", None, "Revoke an API key"),
        ("person.list", _ADMIN, "platform:admin", None, "List people"),
        ("person.create", _ADMIN, "platform:admin", None, "Add a person and make their first sign-in link"),
        ("person.read", _ADMIN, "platform:admin", None, "See what a person has access to"),
        ("person.promote", _ADMIN, "platform:admin", None, "Make somebody administrator, or no longer"),
        ("person.suspend", _ADMIN, "platform:admin", None, "Suspend a person, or let them back in"),
        ("person.hand-over", _ADMIN, "platform:admin", None, "Hand all workspaces of a person over to another"),
        ("person.erase", _ADMIN, "platform:admin", None, "Erase what is personal of somebody who left"),
        ("invitation.list", _ADMIN, "platform:admin", None, "List invitations that nobody has used yet"),
        ("invitation.create", _ADMIN, "platform:admin", None, "Invite somebody by a one-time link"),
        ("invitation.renew", _ADMIN, "platform:admin", None, "Make a new link for an invitation"),
        ("invitation.withdraw", _ADMIN, "platform:admin", None, "Withdraw an invitation"),
        ("invitation.accept", _PUBLIC, None, None, "Join by an invitation"),
        ("banner.read", _USER, "account:read", None, "Read what administrators tell everybody"),
        ("notification.list", _USER, "account:read", None, "See what you were told"),
        ("notification.read", _USER, "account:write", None, "Mark what you were told as seen"),
        ("banner.post", _ADMIN, "platform:admin", None, "Tell everybody something, or no longer"),
        ("person.reset", _ADMIN, "platform:admin", None, "Make a new sign-in link for a person"),
        ("engine.list", _USER, "sessions:read", None, "See engines, profiles and what is free"),
        ("gpu.list", _USER, "sessions:read", None, "See GPUs and who has them"),
        ("gpu.notify", _USER, "sessions:write", None, "Be told when GPUs are free"),
        ("gpu.withdraw", _USER, "sessions:write", None, "Wait for GPUs no more"),
        ("platform.inspect", _ADMIN, "platform:admin", None, "See whether all is well"),
        ("disk.read", _ADMIN, "platform:admin", None, "See what fills the disk"),
        ("disk.free", _ADMIN, "platform:admin", None, "Release space on the disk"),
        ("platform.metrics", _ADMIN, "platform:metrics", None, "Read the platform's metrics"),
        ("backup.list", _ADMIN, "platform:admin", None, "See the platform's backups"),
        ("backup.create", _ADMIN, "platform:admin", None, "Back up the platform"),
        ("backup.cancel", _ADMIN, "platform:admin", None, "Cancel the backup that is being made"),
        ("request.list", _USER, "workspaces:read", None, "See requests for packages"),
        ("request.create", _USER, "packages:write", Role.EDITOR, "Ask for a package"),
        ("request.withdraw", _USER, "packages:write", None, "Take back a request for a package"),
        ("request.decide", _ADMIN, "platform:admin", None, "Approve or deny requests for packages"),
        ("dataset.list", _USER, "workspaces:read", None, "See datasets that you may read"),
        ("dataset.create", _ADMIN, "platform:admin", None, "Register a dataset"),
        ("dataset.update", _ADMIN, "platform:admin", None, "Change a dataset and who may read it"),
        ("dataset.delete", _ADMIN, "platform:admin", None, "Take a dataset off the register"),
        ("audit.list", _ADMIN, "platform:admin", None, "Read the record of changes"),
        ("workspace.list", _USER, "workspaces:read", None, "List workspaces you can see"),
        ("workspace.create", _USER, "workspaces:write", None, "Create a workspace"),
        ("workspace.read", _USER, "workspaces:read", Role.VIEWER, "See one workspace"),
        ("workspace.usage", _USER, "workspaces:read", Role.VIEWER, "See what a workspace used"),
        ("workspace.update", _USER, "workspaces:write", Role.OWNER, "Rename or describe a workspace"),
        ("workspace.delete", _USER, "workspaces:write", Role.OWNER, "Delete a workspace"),
        ("workspace.scale", _USER, "workspaces:write", Role.OWNER, "Change what a workspace's sessions may use"),
        ("workspace.move", _USER, "workspaces:write", Role.OWNER, "Move a workspace to another engine"),
        ("workspace.move-read", _USER, "workspaces:read", Role.VIEWER, "See how a move of a workspace goes"),
        ("workspace.duplicate", _USER, "workspaces:write", Role.EDITOR, "Copy a workspace"),
        ("workspace.transfer", _USER, "workspaces:write", Role.OWNER, "Hand a workspace over"),
        ("workspace.export", _USER, "workspaces:read", Role.VIEWER, "Export a workspace's description"),
        ("workspace.archive", _USER, "workspaces:read", Role.VIEWER, "Export a workspace with its files"),
        ("workspace.import", _USER, "workspaces:write", None, "Make a workspace from an archive"),
        ("workspace.clone", _USER, "workspaces:write", Role.EDITOR, "Clone a git repository into a workspace"),
        ("workspace.clone-read", _USER, "workspaces:read", Role.VIEWER, "See how a clone goes"),
        ("workspace.reset", _USER, "workspaces:write", Role.OWNER, "Put a workspace's environment back"),
        ("trash.list", _USER, "workspaces:read", None, "See your deleted workspaces"),
        ("trash.restore", _USER, "workspaces:write", None, "Bring a deleted workspace back"),
        ("trash.erase", _USER, "workspaces:write", None, "Erase a deleted workspace for good"),
        ("share.list", _USER, "workspaces:read", Role.VIEWER, "See what was shared in a workspace"),
        ("share.create", _USER, "workspaces:write", Role.EDITOR, "Share a notebook with a workspace's members"),
        ("share.delete", _USER, "workspaces:write", Role.EDITOR, "Share a notebook no longer"),
        ("file.read", _USER, "files:read", Role.VIEWER, "See and download a workspace's files"),
        ("file.restore", _USER, "files:write", Role.EDITOR, "Bring back what a file was, or a deleted file"),
        ("file.erase", _USER, "files:write", Role.EDITOR, "Erase a deleted file for good"),
        ("file.write", _USER, "files:write", Role.EDITOR, "Upload, move, copy and delete a workspace's files"),
        ("member.list", _USER, "workspaces:read", Role.VIEWER, "See who has access"),
        ("member.set", _USER, "workspaces:write", Role.OWNER, "Give somebody a role"),
        ("member.remove", _USER, "workspaces:write", Role.OWNER, "Take somebody's access away"),
        ("environment.read", _USER, "workspaces:read", Role.VIEWER, "See a workspace's packages and builds"),
        ("environment.plan", _USER, "workspaces:read", Role.VIEWER, "See what installing packages comes to"),
        ("environment.change", _USER, "packages:write", Role.EDITOR, "Install, remove and roll back packages"),
        ("environment.force", _ADMIN, "platform:admin", Role.EDITOR, "Install what the policy refuses"),
        ("image.read", _USER, "workspaces:read", Role.VIEWER, "See images of a workspace's environment"),
        ("image.change", _USER, "packages:write", Role.EDITOR, "Make, push and remove images of an environment"),
        ("package.download", _USER, "packages:read", Role.VIEWER, "Install packages from a workspace's index"),
        ("package.check", _USER, "workspaces:read", None, "See what the platform's policy says of packages"),
        ("package.guard", _USER, "packages:write", Role.EDITOR, "Tell what a kernel's guard refused"),
        ("policy.read", _USER, "workspaces:read", Role.VIEWER, "See a workspace's package policy"),
        ("policy.change", _USER, "workspaces:write", Role.OWNER, "Change a workspace's package policy"),
        ("policy.read-platform", _USER, "workspaces:read", None, "See the organisation's package policy"),
        ("policy.change-platform", _ADMIN, "platform:admin", None, "Change the organisation's package policy"),
        ("base.list", _USER, "workspaces:read", None, "See the bases that environments begin from"),
        ("base.change", _ADMIN, "platform:admin", None, "Add, remove and choose bases"),
        ("session.list", _USER, "sessions:read", None, "List sessions"),
        ("session.read", _USER, "sessions:read", Role.VIEWER, "See one session"),
        ("session.log", _USER, "sessions:read", Role.EDITOR, "Read a session's log"),
        ("session.usage", _USER, "sessions:read", Role.VIEWER, "See what a session uses"),
        ("session.snooze", _USER, "sessions:write", Role.EDITOR, "Keep an idle session running"),
        ("session.execute", _USER, "sessions:write", Role.EDITOR, "Run a command in a session"),
        ("session.launch", _USER, "sessions:write", Role.EDITOR, "Launch a session"),
        ("session.start", _USER, "sessions:write", Role.EDITOR, "Start a stopped session again"),
        ("session.stop", _USER, "sessions:write", Role.EDITOR, "Stop a session"),
        ("session.restart", _USER, "sessions:write", Role.EDITOR, "Restart a session"),
        ("session.delete", _USER, "sessions:write", Role.EDITOR, "Forget a stopped session"),
        ("session.enter", _USER, "sessions:write", Role.EDITOR, "Use a running session"),
        ("scan.read", _USER, "workspaces:read", Role.VIEWER, "Read a workspace's security scans"),
        ("scan.start", _USER, "workspaces:write", Role.EDITOR, "Scan a workspace"),
        ("finding.accept", _USER, "workspaces:write", Role.OWNER, "Accept what a scan of a workspace found"),
        ("kernel.list", _USER, "sessions:read", None, "List kernels"),
        ("kernel.read", _USER, "sessions:read", Role.VIEWER, "See one kernel"),
        ("kernel.output", _USER, "sessions:read", Role.VIEWER, "Read what a kernel has put out"),
        ("kernel.log", _USER, "sessions:read", Role.EDITOR, "Read a kernel's log"),
        ("kernel.specs", _USER, "sessions:read", Role.VIEWER, "See the kernels that a workspace offers"),
        ("kernel.start", _USER, "sessions:write", Role.EDITOR, "Start a kernel"),
        ("kernel.execute", _USER, "sessions:write", Role.EDITOR, "Run code in a kernel"),
        ("kernel.stop", _USER, "sessions:write", Role.EDITOR, "Stop a kernel"),
        ("kernel.interrupt", _USER, "sessions:write", Role.EDITOR, "Interrupt a kernel"),
        ("kernel.restart", _USER, "sessions:write", Role.EDITOR, "Restart a kernel"),
        ("kernelspec.create", _USER, "sessions:write", Role.EDITOR, "Make a kernel's description of one's own"),
        ("kernelspec.remove", _USER, "sessions:write", Role.EDITOR, "Remove one that was made"),
    )
}

# What an administrator may do on a workspace without being its member: see and mend, never look inside.
ADMIN_MAY: frozenset[str] = frozenset(
    {
        "workspace.read",
        "workspace.usage",
        "workspace.update",
        "workspace.delete",
        "workspace.scale",
        "workspace.move",
        "workspace.move-read",
        "workspace.transfer",
        "workspace.export",
        "environment.read",
        "environment.plan",
        "environment.force",
        "image.read",
        "policy.read",
        "policy.change",
        "member.list",
        "member.set",
        "member.remove",
        "session.read",
        "session.usage",
        "session.stop",
        "session.delete",
        "kernel.read",
        "kernel.stop",
    }
)
