"""Audit events as sentences: "Ana gave leo the role editor in churn"."""

from typing import Any

from studiolo.contract.models import AuditEvent

# {who} is the actor, {target} the event's target; the rest are members of its detail.
_SENTENCES = {
    "account.sign-in": "{who} signed in",
    "account.sign-out": "{who} signed out",
    "account.sign-out-everywhere": "{who} signed out everywhere",
    "account.password": "{who} changed the password of {target}",
    "account.approve-device": "{who} let {target} sign in as them",
    "account.refuse-device": "{who} refused {target} to sign in",
    "key.create": "{who} made the key “{name}”",
    "key.revoke": "{who} revoked the key {target}",
    "person.create": "{who} added {target}",
    "person.sign-in-link": "{who} made a sign-in link for {target}",
    "person.arrive": "{who} came in from JupyterHub for the first time",
    "person.join": "{who} joined, invited by {by}",
    "person.promote": "{who} made {target} administrator",
    "person.demote": "{who} made {target} administrator no longer",
    "person.suspend": "{who} suspended {target}",
    "person.reinstate": "{who} let {target} back in",
    "person.hand-over": "{who} handed all that {target} owns over to {person}",
    "person.erase": "{who} erased what was personal of {target}",
    "invitation.create": "{who} invited {target}",
    "invitation.renew": "{who} made a new link for the invitation of {target}",
    "invitation.withdraw": "{who} withdrew the invitation of {target}",
    "invitation.mail": "{who} sent the invitation of {target} by mail",
    "banner.post": "{who} told everybody: {text}",
    "banner.withdraw": "{who} took down what everybody was told",
    "member.join": "{who} joined {target} as {role}, invited by {by}",
    "disk.free": "{who} released space on the disk: {target}",
    "person.password": "{who} set the password of {target}",
    "workspace.create": "{who} made the workspace {target}",
    "workspace.delete": "{who} deleted the workspace {target}",
    "share.create": "{who} shared {path} in {target}",
    "share.delete": "{who} stopped sharing {path} in {target}",
    "workspace.duplicate": "{who} made the workspace {target} as a copy",
    "backup.create": "{who} began a backup of the platform",
    "backup.cancel": "{who} cancelled a backup of the platform",
    "gpu.notify": "{who} asked to be told when GPUs are free on {target}",
    "gpu.withdraw": "{who} stopped waiting for GPUs",
    "gpu.free": "{who} told of free GPUs on {target}",
    "dataset.create": "{who} registered the dataset {target}",
    "dataset.update": "{who} changed the dataset {target}",
    "dataset.delete": "{who} took the dataset {target} off the register",
    "workspace.import": "{who} made the workspace {target} from an archive",
    "workspace.clone": "{who} cloned {url} into {target}",
    "workspace.move": "{who} began to move {target} from {came} to {goes}",
    "workspace.moved": "{target} moved from {came} to {goes}; what it left is kept",
    "workspace.move-cancel": "{who} took the move of {target} to {goes} back",
    "workspace.move-confirm": "{who} confirmed the move of {target}; what it left on {came} goes",
    "workspace.move-failed": "{target} could not be moved to {goes}: {code}",
    "workspace.clone-cancel": "{who} cancelled the clone into {target}",
    "scan.completed": "{who} scanned {target}; the worst finding: {worst}",
    "finding.accept": "{who} accepted a finding in {target}: {reason}",
    "finding.reopen": "{who} reopened a finding in {target}",
    "file.restore": "{who} brought {path} back in {target}",
    "file.erase": "{who} erased the deleted {path} of {target} for good",
    "package.revoked": "{who} took back what was granted for {target}",
    "policy.revise": "{who} set revision {number} of the package policy of {target}",
    "package.download": "{who} fetched {target} {version}",
    "package.blocked": "{who} asked the index for {target}, which is refused: {because}",
    "package.guard": "{who} tried {call} in a notebook, against the rule {target}",
    "environment.restore": "{who} had a notebook's environment restored in {target}",
    "base.create": "{who} added the base {target}",
    "base.default": "{who} chose {target} as the base of new workspaces",
    "base.delete": "{who} took the base {target} off the catalogue",
    "environment.install": "{who} asked for a build of {target}: {wish}",
    "environment.remove": "{who} asked for a build of {target}: {wish}",
    "environment.request": "{who} had a build of {target} made: {wish}",
    "environment.rollback": "{who} asked for a build of {target}: {wish}",
    "environment.rebuild": "{who} asked for a build of {target}: {wish}",
    "environment.cancel": "{who} cancelled a build of {target}",
    "environment.failed": "A build of {target} was not made",
    "image.build": "{who} asked for an image of {target}'s environment: {image}",
    "image.built": "{who} had the image {image} of {target} made",
    "image.failed": "The image {image} of {target} was not made",
    "image.push": "{who} pushed the image {image} of {target}",
    "image.cancel": "{who} cancelled the image {image} of {target}",
    "image.remove": "{who} removed the image {image} of {target}",
    "environment.force": "{who} forced packages into {target}: {reason}",
    "package.installed": "{who} installed {target} {version}",
    "package.removed": "{who} removed {target} {previous}",
    "package.changed": "{who} changed {target} from {previous} to {version}",
    "package.unverified": "{who} brought in {target}, which nothing delivered",
    "package.requested": "{who} asked for {package} in {target}",
    "package.approved": "{who} allowed {package} in {target}",
    "package.denied": "{who} denied {package} in {target}: {reason}",
    "package.withdrawn": "{who} withdrew the request for {package} in {target}",
    "package.install-again": "{who} had {package} installed once more in {target}",
    "workspace.scale": "{who} changed what sessions of {target} may use",
    "workspace.transfer": "{who} handed {target} over to {person}",
    "workspace.reset": "{who} reset {target}",
    "workspace.clear-cache": "{who} cleared the caches of {target}",
    "workspace.restore": "{who} brought {target} back from the trash",
    "workspace.erase": "{who} erased {target} for good",
    "file.upload": "{who} uploaded {path} to {target}",
    "file.mkdir": "{who} made the folder {path} in {target}",
    "file.move": "{who} moved {path} to {to} in {target}",
    "file.copy": "{who} copied {path} to {to} in {target}",
    "file.delete": "{who} deleted {path} in {target}",
    "member.set": "{who} made {person} {role} of {target}",
    "member.remove": "{who} took away the access of {person} to {target}",
    "session.launch": "{who} launched {target}",
    "session.start": "{who} resumed {target}",
    "session.restart": "{who} restarted {target}",
    "session.stop": "{who} stopped {target}",
    "session.stop-all": "{who} stopped all sessions",
    "session.idle-stop": "{target} was stopped after {idle} without activity",
    "session.snooze": "{who} kept {target} for {time} more",
    "kernel.start": "{who} started a kernel {target}",
    "kernel.interrupt": "{who} interrupted a kernel {target}",
    "kernel.restart": "{who} restarted a kernel {target}",
    "kernel.stop": "{who} stopped a kernel {target}",
    "kernel.ended": "A kernel {target} ended",
    "kernelspec.create": "{who} made the kernel {spec} for {target}",
    "kernelspec.remove": "{who} removed the kernel {spec} of {target}",
    "session.delete": "{who} removed the ended session {target}",
}
# The reasons by which a session ends without anybody's act.
_ENDS = {
    "server-exited": "its server ended",
    "killed": "it was killed",
    "out-of-memory": "it ran out of memory",
    "never-ready": "it never became ready",
    "start-timeout": "it was not ready in time",
    "vanished": "nobody saw how",
    "environment-refused": "its environment holds what the start-up scan refuses",
    "environment-not-ready": "its environment is not ready",
    "stopped-by-person": "as asked",
    "workspace-deleted": "with its access or workspace",
    "person-suspended": "its person was suspended",
    "workspace-reset": "its workspace was reset",
    "idle": "nobody used it",
    "platform-stopped": "with the platform",
}
_DEAD = {"kernel": "A kernel", "terminal": "A terminal", "server": "The server"}


def sentence(event: AuditEvent, reader_id: str) -> str:
    """Return what happened as a sentence; the reader is "You". Actions unknown here are named as they are."""
    actor = event.actor.display_name if event.actor else _without_actor(event)
    who = "You" if event.actor and event.actor.id == reader_id else actor
    values = _Values({key: value for key, value in event.detail.items() if isinstance(value, str | int)})
    values |= {"who": who, "target": event.target}
    if event.action == "workspace.update":
        return _updated(event, who)
    if event.action == "session.out-of-memory":
        return f"{_DEAD.get(str(event.detail.get('what')), 'Programs')} of {event.target} ran out of memory"
    if event.action == "session.ended":
        reason = str(event.detail.get("reason") or "")
        return f"{event.target} ended: {_ENDS.get(reason, reason or 'nobody saw how')}"
    if event.action == "member.remove" and event.actor and event.detail.get("person") == event.actor.name:
        return f"{who} left {event.target}"
    template = _SENTENCES.get(event.action)
    return template.format_map(values) if template else f"{who}: {event.action} {event.target}"


class _Values(dict[str, Any]):
    """Detail of older events may lack a member: the sentence then says "?"."""

    def __missing__(self, key: str) -> str:
        return "?"


def _updated(event: AuditEvent, who: str) -> str:
    changes = event.detail.get("changes")
    name = changes.get("name") if isinstance(changes, dict) else None
    if isinstance(name, str) and name != event.target:
        return f"{who} renamed {event.target} to {name}"
    return f"{who} described {event.target} anew"


def _without_actor(event: AuditEvent) -> str:
    # By a session it was, but nobody can say whose.
    return {"operator": "The operator", "session": "Somebody"}.get(event.via, "Studiolo")
