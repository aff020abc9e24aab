"""Every error that a person or program can meet, as one tree.

StudioloError
├── InvalidInput     what was sent cannot be accepted as it is; change it and try again
├── NotSignedIn      nobody is signed in, or the login or key has ended
├── Denied           the person may not do this
├── NotFound         nothing there that this person can see
├── Conflict         the thing is in another state than this needs
├── LimitReached     a limit on number, size or rate stands in the way
├── Unavailable      something this needs does not answer now; trying again later may help
└── Internal         our fault; the log has the detail

A class answers "what could the caller do about it"; `code` is stable and names the exact case. All codes
stand in CODES with a one-line explanation, from which the reference page is made.
"""

from typing import Any, ClassVar


class StudioloError(Exception):
    """Base of all errors. `code`: stable, kebab-case, in CODES. `message`: for the person, a full sentence.

    `hint`: the next step, or None. `detail`: for the log only, never a secret. `extra`: more members of the
    problem reply, JSON-serialisable (for example `candidates`).
    """

    kind: ClassVar[str] = "error"

    def __init__(
        self, code: str, message: str, *, hint: str | None = None, detail: str | None = None, **extra: Any
    ) -> None:
        if code not in CODES:
            raise ValueError(f"undeclared error code: {code}")
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self.detail = detail
        self.extra = extra


class InvalidInput(StudioloError):
    """What was sent cannot be accepted; `extra["errors"]` may list {location, message} per field."""

    kind = "invalid"


class NotSignedIn(StudioloError):
    """No valid login or key came with the request."""

    kind = "not-signed-in"


class Denied(StudioloError):
    """The person is known and may not do this."""

    kind = "denied"


class NotFound(StudioloError):
    """Nothing there that this person can see; foreign objects look the same as absent ones."""

    kind = "not-found"


class Conflict(StudioloError):
    """The thing exists or is in a state that excludes this."""

    kind = "conflict"


class LimitReached(StudioloError):
    """A limit on number, size or rate stands in the way."""

    kind = "limit"


class Unavailable(StudioloError):
    """A part or resource that this needs does not answer or is full."""

    kind = "unavailable"


class Internal(StudioloError):
    """A fault of ours."""

    kind = "internal"


KINDS: dict[str, type[StudioloError]] = {
    cls.kind: cls
    for cls in (InvalidInput, NotSignedIn, Denied, NotFound, Conflict, LimitReached, Unavailable, Internal)
}

HTTP_STATUS: dict[str, int] = {
    "invalid": 422,
    "not-signed-in": 401,
    "denied": 403,
    "not-found": 404,
    "conflict": 409,
    "limit": 429,
    "unavailable": 503,
    "internal": 500,
}

# Cases for which HTTP has a closer status than their kind's; 460 is of tus, the protocol of uploads.
STATUS_OF_CODE: dict[str, int] = {
    "host-unknown": 421,
    "request-too-large": 413,
    "method-not-allowed": 405,
    "workspace-changed": 412,
    "file-changed": 412,
    "range-invalid": 416,
    "upload-protocol": 400,
    "checksum-mismatch": 460,
}

EXIT_CODE: dict[str, int] = {
    "internal": 1,
    "invalid": 2,
    "not-signed-in": 3,
    "denied": 4,
    "not-found": 5,
    "conflict": 6,
    "limit": 7,
    "unavailable": 8,
}

CODES: dict[str, str] = {
    # input
    "request-invalid": "A field of the request has the wrong type or value; `errors` lists each.",
    "request-too-large": "The body is larger than the limit that the message names.",
    "name-invalid": "A name breaks the rule for names.",
    "name-reserved": "A name is one that the platform keeps for itself.",
    "email-invalid": "An e-mail address cannot be right.",
    "password-weak": "A new password is too short or too common.",
    "scope-unknown": "A scope of a key is not one that exists.",
    "role-unknown": "A role is not one of owner, editor, viewer.",
    "folder-not-allowed": "A folder lies outside the allowed roots.",
    "folder-not-found": "A folder does not exist and could not be made.",
    "cursor-invalid": "A page cursor was not made by this server.",
    "host-unknown": "The request's Host is not a name of this platform.",
    "usage-invalid": "The command line has an unknown command, option or value.",
    "confirmation-needed": "What cannot be undone must be confirmed, and nobody was there to ask.",
    "address-invalid": "What was given is not the address of a platform.",
    "address-insecure": "A key or password would cross the network unencrypted.",
    "key-file-unreadable": "The file that STUDIOLO_KEY_FILE names cannot be read.",
    "credentials-file-unusable": "The file with saved sign-ins cannot be read or written.",
    "config-invalid": "A workspace-config.yaml is broken; line and key of each fault are named.",
    "grant-not-found": "There is no approval or exception with that id.",
    "policy-changed": "The policy has another revision than the one that was read.",
    "policy-invalid": "A package policy has entries that cannot be read; line and key of each fault are named.",
    "policy-not-found": "There is no revision of the package policy with that number.",
    "python-not-found": "No interpreter of the wanted version was found; those found are listed.",
    "jupyter-not-found": "The wanted version of JupyterLab is not the one that the platform ships.",
    "profile-unknown": "No such profile; those there are listed.",
    "profiles-only": "Free numbers beside a profile are not accepted on this platform.",
    "engine-unknown": "No such engine; those configured are listed.",
    "image-not-allowed": "The administrator does not let sessions run in this image; those allowed are listed.",
    "engine-storage": "Files would have to move between engines that do not share them; nothing was changed.",
    "workspace-moving": "The workspace's files are on their way to another engine; nothing can start meanwhile.",
    "move-running": "A move of the workspace has not ended or is not confirmed; the message says what it waits for.",
    "move-not-found": "The workspace is not being moved, or nothing waits to be confirmed.",
    "move-needless": "The workspace is on that engine already.",
    "move-no-room": "There is not enough room where a workspace's files would go.",
    "move-file-changed": "A file was changed while a workspace was moved; the move was taken back.",
    "move-file-refused": "A file of a workspace that moves may not be read or written.",
    "move-digest-differs": "A copied file is not what was read; the move was taken back.",
    "move-failed": "A workspace could not be moved; the message says why.",
    "isolation-too-low": "The workspace demands more isolation than the engine gives; those that give it are listed.",
    "image-unfit": "No image can be made from this base; the message says why.",
    "image-failed": "An image of an environment could not be made; the message says why.",
    "image-not-pushed": "An image could not be brought to the registry; the message says why.",
    "image-running": "An image of the workspace's environment is being made already.",
    "image-not-found": "The workspace has no such image, and none is being made.",
    "image-in-use": "A session runs in the image.",
    "image-cancelled": "The image was not made, since somebody cancelled it.",
    "images-not-available": "No engine here makes images of environments; the message says what is to be set up.",
    "image-not-supported": "The engine runs no container images; those that do are listed.",
    "volume-unknown": "No such volume; those there are are listed.",
    "volume-not-allowed": "The workspace attaches a volume that this person may not use.",
    "volume-not-supported": "The engine cannot attach the volume; those that can are listed.",
    "gpu-not-available": "The engine has no such GPU.",
    "gpu-type-unknown": "No such type of GPU; those there are are listed.",
    "idempotency-key-invalid": "An Idempotency-Key is empty, too long, or was used for another request.",
    "settings-invalid": "A setting has a wrong value; the message names it.",
    # identity
    "not-signed-in": "Nobody is signed in.",
    "login-ended": "The login was signed out or has expired.",
    "key-invalid": "The key is unknown, revoked or expired.",
    "credentials-wrong": "Name and password do not match.",
    "device-code-pending": "Nobody has approved the sign-in yet; poll again.",
    "device-code-expired": "The sign-in was refused, took too long or was finished before.",
    "link-invalid": "A sign-in link was used before, has expired or never existed.",
    "sign-in-not-begun": "The browser did not begin this sign-in, or it was finished or is too old.",
    "sign-in-refused": "The identity provider did not confirm the sign-in.",
    "sign-in-not-linked": "The identity provider knows the person, and no account here belongs to them.",
    "sign-in-provider-unavailable": "The identity provider does not answer as it should; passwords and links work.",
    "too-many-attempts": "Too many failed sign-ins; the message says when to try again.",
    "not-configured": "The command line knows no platform; start or log in to one.",
    # permission
    "denied": "The person's role does not allow this.",
    "scope-missing": "The key lacks the scope for this.",
    "origin-mismatch": "A change came from another site's page.",
    "last-owner": "A workspace keeps at least one owner.",
    "last-admin": "The platform keeps at least one administrator.",
    "own-account": "Nobody does this to their own account; another administrator can.",
    "owns-workspaces": "The person still owns workspaces, which must be handed over first.",
    "session-password-needed": "The session was started with a password and it was not given.",
    # objects
    "route-not-found": "No such address.",
    "method-not-allowed": "The address exists, but not for this method.",
    "workspace-not-found": "No such workspace that you can see.",
    "workspace-ambiguous": "Several workspaces have this name; `candidates` lists them.",
    "workspace-exists": "You have a workspace of this name already.",
    "workspace-changed": "The workspace changed since it was read (If-Match); read it again.",
    "trash-not-found": "No such workspace in your trash.",
    "workspace-deleted": "The workspace is being deleted.",
    "workspace-busy": "Sessions of the workspace run and must be stopped first.",
    "session-not-found": "No such session that you can see.",
    "session-ambiguous": "Several sessions fit; `candidates` lists them.",
    "session-exists": "A session of this name exists in the workspace.",
    "session-not-running": "The session is not running.",
    "session-running": "The session runs and must be stopped first.",
    "session-needs-origin": "The session's server has its own address, and this browser has none for it here.",
    "session-ended": "The session ended; the message says why.",
    "person-not-found": "No such person.",
    "person-suspended": "The person is suspended.",
    "invitation-not-found": "No such invitation, or it was used, withdrawn or has expired.",
    "person-exists": "A person with this name or address exists.",
    "share-not-found": "Nothing of this id is shared in the workspace.",
    "path-invalid": "A path leaves the workspace's folder.",
    "path-outside": "A path, or a link on it, leads out of the workspace.",
    "file-not-found": "There is no such file or folder in the workspace.",
    "version-not-found": "There is no such version of the file: it may be older than versions are kept.",
    "deleted-file-not-found": "There is nothing of this id in the workspace's trash.",
    "lock-invalid": "The text is no lock of an environment, or was changed after it was written.",
    "files-elsewhere": "The engine that the workspace is on keeps its files itself; only sessions there reach them.",
    "file-exists": "There is a file or folder of this name already.",
    "file-changed": "The file is another than the one that was named (If-Match); look at it again.",
    "file-is-folder": "A file was needed, and the path names a folder.",
    "file-not-folder": "A folder was needed, and the path names, or passes, a file.",
    "file-not-regular": "The path names a pipe, socket or device, which is neither read nor written.",
    "file-not-permitted": "The platform's account may not read or change the file.",
    "link-not-written": "A change would pass through a link; it is made under the real path only.",
    "links-too-many": "Links lead to each other without end.",
    "folder-into-itself": "A folder cannot be moved or copied into itself.",
    "download-running": "Another program brings the same file to the same place.",
    "upload-not-found": "No such upload: it was finished, given up, or has expired.",
    "upload-offset": "The upload stands at another place than this part begins at.",
    "checksum-mismatch": "The bytes that arrived are not those that were sent.",
    "range-invalid": "The file has no such range of bytes.",
    "upload-protocol": "A request is not what the tus protocol 1.0.0 asks for.",
    "member-not-found": "The person is not a member.",
    "key-not-found": "No such key of yours.",
    "command-failed": "A command in a session could not be started.",
    "key-ambiguous": "Several of your keys have this name; `candidates` lists them.",
    "kernel-not-found": "No such kernel that you can see.",
    "kernel-ambiguous": "Several kernels begin with this; `candidates` lists them.",
    "kernel-exists": "A kernel of this id exists already.",
    "kernel-elsewhere": "Kernels of this workspace run on another engine, where this cannot be done.",
    "kernel-place-pending": "The kernel's place on its engine is not there yet; asking again finds it.",
    "engine-without-kernels": "The engine runs no kernels without a session; those that do are listed.",
    "kernel-ended": "The kernel has ended; the message says how.",
    "kernel-not-ours": "A bridge did not start its kernel, so it cannot do this with it.",
    "kernel-not-started": "The kernel did not start; the message has the end of what it wrote.",
    "kernelspec-not-found": "No such kernelspec here; those there are listed.",
    "kernelspec-exists": "A kernelspec of this name exists already.",
    "kernel-message-malformed": "What came is no kernel message, or its signature is wrong.",
    "kernel-frame-malformed": "A websocket frame is not what its protocol says; the message says why.",
    "notebook-unusable": "The notebook cannot be read or written; the message says why.",
    "notebook-open": "Somebody has the notebook open: its page has the output, and saves it.",
    "notebook-changed": "Somebody changed the notebook at the same time: nothing was written.",
    "document-session-not-found": "No notebook or console is joined to a kernel under this id.",
    # limits and availability
    "limit-exceeded": "More was asked for than is allowed, or less than works; the message names both amounts.",
    "gpus-taken": "Others have the GPUs that were asked for; the message says who, since when.",
    "capacity-exceeded": "The machine has not that much free; the message says what is.",
    "request-interrupted": "The platform was interrupted while it worked on this request (Idempotency-Key).",
    "idempotent-answer-gone": "The request was done before, and its answer was not kept.",
    "request-in-progress": "The same request (Idempotency-Key) is being worked on.",
    "too-many-sessions": "The number of running sessions has reached its limit.",
    "too-many-kernels": "The number of running kernels has reached its limit.",
    "too-many-streams": "A person follows more progress and logs at once than is allowed.",
    "database-unavailable": "The database is locked, damaged or out of reach.",
    "disk-full": "The disk is full; nothing was changed.",
    "read-only": "The data directory cannot be written.",
    "engine-unavailable": "The engine does not answer.",
    "workspace-has-no-account": "Local sessions run under their workspace's account, and this one has none.",
    "engine-refused": "The engine does not do what was asked; the message says what it gives for a reason.",
    "engine-person-unknown": "The engine knows nobody of this person's name.",
    "environment-refused": "The environment holds packages that the start-up scan refuses.",
    "environment-not-ready": "The workspace's environment is not ready; the message says why.",
    "session-starting": "The session is not ready yet.",
    "kernel-host-unavailable": "The part that carries kernels does not answer; it may be starting again.",
    "difference-failed": "Two versions of a file could not be compared in the time and memory there is for that.",
    "file-host-unavailable": "The part that carries files does not answer; it may be starting again.",
    "kernel-unreachable": "The connection to a kernel cannot be made, or broke and did not come back.",
    "session-unreachable": "The session's server does not answer; it may be ending or starting again.",
    "control-plane-unreachable": "The platform does not answer at its address.",
    "mail-not-sent": "The mail server did not take a mail; the message says why.",
    "timeout": "Something took longer than its limit.",
    "internal": "An unexpected fault; the log has the detail under the given id.",
    # backups, archives, clones, datasets
    "backup-not-found": "There is no complete backup there, or none is being made.",
    "backup-damaged": "A backup is not as it was written; the message names the file.",
    "backup-running": "A backup is being made already.",
    "backup-failed": "A backup or restoration could not be written; the message says why.",
    "backup-tool-missing": "A PostgreSQL database needs pg_dump and pg_restore, and they are not installed.",
    "restore-not-empty": "A backup is restored into a new folder and an empty database only.",
    "archive-invalid": "A file is no archive of a workspace, or holds what may not be in one; the message says what.",
    "archive-too-large": "An archive holds more than may be imported; the message names the limit.",
    "egress-refused": "The platform does not connect to this address.",
    "clone-failed": "A repository could not be cloned; the message says why.",
    "clone-running": "A repository is being cloned into the workspace already.",
    "clone-not-found": "Nothing is being cloned into the workspace.",
    "clone-exists": "The workspace has something of the repository's name already.",
    "dataset-not-found": "No such dataset that you can see.",
    "dataset-exists": "A dataset of this name exists.",
    # security scans
    "scan-running": "The workspace is being scanned already.",
    "scan-not-found": "There is no such scan of the workspace.",
    "scan-failed": "A scan ended without a report; the message says why.",
    "finding-not-found": "The workspace's newest scan has no finding of this id.",
    "package-allowed": "Nobody needs to ask for the package: the workspace's policy allows it.",
    "approval-not-enough": "A rule that an approval does not lift stands against the package; the message names it.",
    "request-not-found": "No such request for a package that you can see.",
    "request-decided": "The request was approved, denied or withdrawn before.",
    "requests-off": "Asking for packages is switched off on this platform (packages.requests).",
    "notification-not-found": "No such notification of yours; what is old is forgotten.",
    # packages and environments
    "package-invalid": "What was given is no name of a package, with a version or range at most.",
    "package-file-invalid": "A file that lists packages cannot be read; the message says where.",
    "package-refused": "The workspace's policy does not allow packages of this; `violations` lists each.",
    "package-unsolvable": "No versions of the packages fit together; the message says which.",
    "package-not-installed": "The environment has no package of this name.",
    "package-of-base": "The package came with the base, and others there need it.",
    "package-not-found": "The index or a channel has no such file.",
    "packages-unavailable": "What packages there are could not be asked for.",
    "package-damaged": "What an index sent is not the file that it lists; nothing of it was kept.",
    "package-index-unavailable": "The part that serves packages does not answer; what is installed is not touched.",
    "conda-not-available": "This platform installs no conda packages.",
    "environment-unknown": "Nobody here has an environment of this hash, or none that you may read.",
    "environment-not-portable": "The environment holds what no index delivered; the message names it.",
    "python-differs": "The environment is of another version of Python than the workspace.",
    "build-not-found": "The environment has no build of this number.",
    "build-ended": "The build has ended already.",
    "build-failed": "A build of an environment failed; the old environment is untouched.",
    "build-cancelled": "The build was cancelled; the old environment is untouched.",
    "base-not-found": "No such base.",
    "base-exists": "A base of this name exists.",
    "base-in-use": "Workspaces begin from the base, or it is the default.",
    # running the platform
    "port-taken": "Another program listens on the port.",
    "already-running": "A platform runs on this data directory already.",
    "not-running": "No platform runs on this data directory.",
    "schema-newer": "The database was written by a newer Studiolo.",
    "schema-upgrade-failed": "Upgrading the database failed and was rolled back.",
    "data-directory-unusable": "The data directory cannot be used; the message says why.",
    "run-directory-unusable": "The private folder for sockets cannot be used; the message says why.",
    "part-failed": "A part of the platform did not start; the message names its log.",
    "server-not-installed": "The command needs studiolo[server].",
    "gateway-not-installed": "The command needs studiolo[gateway].",
    "base-environment-failed": "The notebook environment could not be built.",
    "certificate-unusable": "The TLS certificate or key cannot be used.",
    "cancelled": "Cancelled.",
}
