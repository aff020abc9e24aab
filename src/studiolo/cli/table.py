"""Every command: its words, where its function is, its line of help. Read at each start, so kept light."""

from collections.abc import Sequence
from typing import NamedTuple


class Entry(NamedTuple):
    """One command. `words`: as typed, `target`: `module:function`, `summary`: the line in the overview."""

    words: str
    target: str
    summary: str
    group: str


WORKSPACES, FILES, SESSIONS, KERNELS = "Workspaces", "Files", "Sessions", "Kernels"
ACCOUNT, PLATFORM = "Your account", "The platform"
GROUPS = (WORKSPACES, FILES, SESSIONS, KERNELS, ACCOUNT, PLATFORM)

_COMMANDS = "studiolo.cli"
_SERVER = "studiolo.server.commands"
_GATEWAY = "studiolo.gateway.commands"

COMMANDS = tuple(
    Entry(words, target, summary, group)
    for group, rows in (
        (
            WORKSPACES,
            (
                ("create", f"{_COMMANDS}.workspaces:create", "Create a workspace"),
                ("list", f"{_COMMANDS}.workspaces:list_", "List workspaces and what runs in them"),
                ("info", f"{_COMMANDS}.workspaces:info", "Show a workspace's details"),
                ("update", f"{_COMMANDS}.workspaces:update", "Rename or describe a workspace"),
                ("rename", f"{_COMMANDS}.changing:rename", "Rename a workspace"),
                ("duplicate", f"{_COMMANDS}.changing:duplicate", "Copy a workspace"),
                ("transfer", f"{_COMMANDS}.changing:transfer", "Hand a workspace over"),
                ("reset", f"{_COMMANDS}.changing:reset", "Put a workspace's environment back"),
                ("clear-cache", f"{_COMMANDS}.changing:clear_cache", "Delete a workspace's caches"),
                ("delete", f"{_COMMANDS}.workspaces:delete", "Delete a workspace"),
                ("trash", f"{_COMMANDS}.trash:list_", "List deleted workspaces"),
                ("trash list", f"{_COMMANDS}.trash:list_", "List deleted workspaces"),
                ("trash restore", f"{_COMMANDS}.trash:restore", "Bring a deleted workspace back"),
                ("trash erase", f"{_COMMANDS}.trash:erase", "Erase a deleted workspace for good"),
                ("limits", f"{_COMMANDS}.sizing:limits", "Show what a workspace's sessions may use"),
                ("scale", f"{_COMMANDS}.sizing:scale", "Change what a workspace's sessions may use"),
                ("move", f"{_COMMANDS}.moving:move", "Move a workspace to another engine"),
                ("metadata", f"{_COMMANDS}.describing:metadata", "Show all that is known about a workspace"),
                ("clone", f"{_COMMANDS}.cloning:clone", "Clone a git repository into a workspace"),
                ("export", f"{_COMMANDS}.describing:export", "Write a workspace, or its description, to a file"),
                ("import", f"{_COMMANDS}.importing:import_", "Make a workspace from an archive"),
                ("report", f"{_COMMANDS}.describing:report", "Write a report on a workspace's use"),
                ("stats", f"{_COMMANDS}.monitoring:stats", "Show what a workspace's sessions used"),
                ("monitor", f"{_COMMANDS}.monitoring:monitor", "Watch what a workspace's sessions use"),
                ("install", f"{_COMMANDS}.installing:install", "Install packages into a workspace"),
                ("remove", f"{_COMMANDS}.installing:remove", "Remove packages from a workspace"),
                ("packages", f"{_COMMANDS}.installing:list_packages", "List the packages of a workspace"),
                ("check-package", f"{_COMMANDS}.installing:check_package", "Tell what installing a package comes to"),
                ("search-conda", f"{_COMMANDS}.conda:search_conda", "List versions of a conda package"),
                ("environment", f"{_COMMANDS}.environments:show", "Show a workspace's environment"),
                ("environment show", f"{_COMMANDS}.environments:show", "Show a workspace's environment"),
                ("environment history", f"{_COMMANDS}.environments:history", "List an environment's builds"),
                ("environment diff", f"{_COMMANDS}.environments:diff", "Show what differs between builds"),
                ("environment rollback", f"{_COMMANDS}.environments:rollback", "Go back to an earlier build"),
                ("environment undo", f"{_COMMANDS}.environments:undo", "Go back to the build before"),
                ("environment rebuild", f"{_COMMANDS}.environments:rebuild", "Make an environment from its lock"),
                ("environment cancel", f"{_COMMANDS}.environments:cancel", "Cancel a build"),
                ("environment restore", f"{_COMMANDS}.restoring:restore", "Have a notebook's environment again"),
                ("environment stamp", f"{_COMMANDS}.restoring:stamp", "Write an environment into a notebook"),
                ("environment lock", f"{_COMMANDS}.environments:lock", "Write an environment's lock"),
                ("environment sbom", f"{_COMMANDS}.environments:sbom", "Write an environment's bill of materials"),
                ("environment image", f"{_COMMANDS}.images:build", "Make an image of an environment"),
                ("environment images", f"{_COMMANDS}.images:list_", "List images of an environment"),
                ("environment remove-image", f"{_COMMANDS}.images:remove", "Remove an image, or cancel it"),
                ("bases", f"{_COMMANDS}.bases:list_", "List what environments begin from"),
                ("bases list", f"{_COMMANDS}.bases:list_", "List what environments begin from"),
                ("request", f"{_COMMANDS}.requests:request", "Ask for a package"),
                ("requests", f"{_COMMANDS}.requests:requests", "List requests for packages"),
                ("requests withdraw", f"{_COMMANDS}.requests:withdraw", "Take back a request for a package"),
                ("policy show", f"{_COMMANDS}.policy:show", "Show which packages are allowed"),
                ("policy set", f"{_COMMANDS}.policy:set_", "Set a package policy from a file"),
                ("policy history", f"{_COMMANDS}.policy:history", "List the revisions of a package policy"),
                ("policy what-if", f"{_COMMANDS}.policy:what_if", "Show what a package policy would change"),
                ("policy check", f"{_COMMANDS}.policy:check", "Show what a policy says of a package"),
                ("policy revoke", f"{_COMMANDS}.policy:revoke", "Take an approval or exception back"),
                ("security-scan", f"{_COMMANDS}.scanning:security_scan", "Scan a workspace's packages and files"),
                ("members", f"{_COMMANDS}.members:members", "List who has access to a workspace"),
                ("access", f"{_COMMANDS}.members:access", "Give somebody access to a workspace"),
                ("revoke", f"{_COMMANDS}.members:revoke", "Take somebody's access away"),
                ("leave", f"{_COMMANDS}.members:leave", "Give up your access to a workspace"),
            ),
        ),
        (
            FILES,
            (
                ("ls", f"{_COMMANDS}.files:ls", "List files of a workspace"),
                ("cp", f"{_COMMANDS}.transfer:cp", "Copy files to and from a workspace"),
                ("search", f"{_COMMANDS}.searching:search", "Search files and notebooks of a workspace"),
                ("files ls", f"{_COMMANDS}.files:ls", "List files of a workspace"),
                ("files cp", f"{_COMMANDS}.transfer:cp", "Copy files to and from a workspace"),
                ("files mv", f"{_COMMANDS}.files:move", "Move or rename a file of a workspace"),
                ("files rm", f"{_COMMANDS}.files:remove", "Put a file of a workspace into its trash"),
                ("files mkdir", f"{_COMMANDS}.files:mkdir", "Make a folder in a workspace"),
                ("version", f"{_COMMANDS}.versions:version", "List the versions of a notebook"),
                ("files versions", f"{_COMMANDS}.versions:versions", "List what a file was"),
                ("files diff", f"{_COMMANDS}.versions:diff", "Show how a file differs between versions"),
                ("files show", f"{_COMMANDS}.versions:show", "Write what a version of a file holds"),
                ("files restore", f"{_COMMANDS}.versions:restore", "Have a file be what it was"),
                ("files trash", f"{_COMMANDS}.versions:trash", "List deleted files that can come back"),
                ("files undelete", f"{_COMMANDS}.versions:undelete", "Bring a deleted file back"),
                ("files erase", f"{_COMMANDS}.versions:erase", "Erase a deleted file for good"),
            ),
        ),
        (
            SESSIONS,
            (
                ("open", f"{_COMMANDS}.opening:open_", "Open a workspace in the browser"),
                ("start", f"{_COMMANDS}.sessions:start", "Start a session in a workspace or folder"),
                ("stop", f"{_COMMANDS}.sessions:stop", "Stop a session"),
                ("restart", f"{_COMMANDS}.sessions:restart", "Restart a session"),
                ("status", f"{_COMMANDS}.status:status", "Show what runs and how it is"),
                ("sessions", f"{_COMMANDS}.sessions:sessions", "List sessions"),
                ("logs", f"{_COMMANDS}.sessions:logs", "Show a session's log, and follow it"),
                ("usage", f"{_COMMANDS}.monitoring:usage", "Show what a session uses"),
                ("snooze", f"{_COMMANDS}.monitoring:snooze", "Keep an idle session running"),
                ("exec", f"{_COMMANDS}.execution:exec_", "Run a command in a workspace"),
                ("git", f"{_COMMANDS}.execution:git", "Run git in a workspace"),
                ("shell", f"{_COMMANDS}.execution:shell", "Open a shell in a workspace"),
                ("datasets", f"{_COMMANDS}.datasets:list_", "List datasets that sessions may read"),
                ("datasets list", f"{_COMMANDS}.datasets:list_", "List datasets that sessions may read"),
                ("profiles", f"{_COMMANDS}.sizing:profiles", "List the sizes there are"),
                ("engines", f"{_COMMANDS}.overseeing:engines", "List where sessions can run"),
                ("volumes", f"{_COMMANDS}.sizing:volumes", "List volumes that workspaces may attach"),
                ("gpus", f"{_COMMANDS}.gpus:list_", "List GPUs and who has them"),
                ("gpus list", f"{_COMMANDS}.gpus:list_", "List GPUs and who has them"),
                ("gpus notify", f"{_COMMANDS}.gpus:notify", "Be told when GPUs are free"),
                ("gpus withdraw", f"{_COMMANDS}.gpus:withdraw", "Wait for GPUs no more"),
            ),
        ),
        (
            KERNELS,
            (
                ("kernels", f"{_COMMANDS}.kernels:list_", "List kernels"),
                ("kernels list", f"{_COMMANDS}.kernels:list_", "List kernels"),
                ("kernels start", f"{_COMMANDS}.kernels:start", "Start a kernel without JupyterLab"),
                ("kernels attach", f"{_COMMANDS}.console:attach", "Open a console on a kernel, or watch it"),
                ("kernels interrupt", f"{_COMMANDS}.kernels:interrupt", "Interrupt what a kernel runs"),
                ("kernels restart", f"{_COMMANDS}.kernels:restart", "Start a kernel anew"),
                ("kernels stop", f"{_COMMANDS}.kernels:stop", "Stop a kernel"),
                ("kernels output", f"{_COMMANDS}.kernels:output", "Show what a kernel has put out"),
                ("kernels logs", f"{_COMMANDS}.kernels:logs", "Show what a kernel's process wrote"),
                ("gateway", f"{_GATEWAY}:gateway", "Serve kernels without the platform"),
                ("bridge", f"{_GATEWAY}:bridge", "Put one kernel behind HTTP and websockets"),
                ("kernels specs", f"{_COMMANDS}.kernels:specs", "List the kernels that a workspace offers"),
                ("kernels add-spec", f"{_COMMANDS}.kernelspecs:add", "Offer another kernel in a workspace"),
                ("kernels remove-spec", f"{_COMMANDS}.kernelspecs:remove", "Offer an added kernel no longer"),
            ),
        ),
        (
            ACCOUNT,
            (
                ("login", f"{_COMMANDS}.account:login", "Sign in to a platform"),
                ("logout", f"{_COMMANDS}.account:logout", "Sign out and revoke the saved key"),
                ("whoami", f"{_COMMANDS}.account:whoami", "Show who is signed in, and where"),
                ("notifications", f"{_COMMANDS}.notifications:list_", "Show what you were told"),
                ("keys create", f"{_COMMANDS}.keys:create", "Make an API key"),
                ("keys list", f"{_COMMANDS}.keys:list_", "List your API keys"),
                ("keys revoke", f"{_COMMANDS}.keys:revoke", "Revoke an API key"),
            ),
        ),
        (
            PLATFORM,
            (
                ("up", f"{_SERVER}:up", "Start the platform on this machine"),
                ("down", f"{_SERVER}:down", "Stop the platform; sessions go on"),
                ("doctor", f"{_SERVER}:doctor", "Check what is missing or wrong"),
                ("serve", f"{_SERVER}:serve", "Run one part of the platform"),
                ("review", f"{_COMMANDS}.requests:review", "Review requests for packages"),
                ("approve", f"{_COMMANDS}.requests:approve", "Approve a request for a package"),
                ("deny", f"{_COMMANDS}.requests:deny", "Deny a request for a package"),
                ("requests install", f"{_COMMANDS}.requests:install_again", "Install an approved package once more"),
                ("bases add", f"{_COMMANDS}.bases:add", "Add a base for environments"),
                ("bases default", f"{_COMMANDS}.bases:default", "Choose what new workspaces begin from"),
                ("bases remove", f"{_COMMANDS}.bases:remove", "Take a base off the catalogue"),
                ("datasets add", f"{_COMMANDS}.datasets:add", "Register a folder as a dataset"),
                ("datasets change", f"{_COMMANDS}.datasets:change", "Change a dataset and who may read it"),
                ("datasets remove", f"{_COMMANDS}.datasets:remove", "Take a dataset off the register"),
                ("backup", f"{_SERVER}:backup", "Back up the platform from this machine, while it runs"),
                ("restore", f"{_SERVER}:restore", "Restore a backup into a new folder"),
                ("backups", f"{_COMMANDS}.backups:list_", "List the platform's backups"),
                ("backups list", f"{_COMMANDS}.backups:list_", "List the platform's backups"),
                ("backups start", f"{_COMMANDS}.backups:start", "Have the platform make a backup"),
                ("backups cancel", f"{_COMMANDS}.backups:cancel", "Cancel the backup that is being made"),
                ("sign-in-link", f"{_SERVER}:sign_in_link", "Make a one-time sign-in link on this machine"),
                ("reset-password", f"{_SERVER}:reset_password", "Set a person's password on this machine"),
                ("disk", f"{_COMMANDS}.disk:disk", "Show what fills the platform's disk"),
                ("free", f"{_COMMANDS}.disk:free", "Release space on the platform's disk"),
                ("health", f"{_COMMANDS}.overseeing:health", "Tell whether all is well"),
                ("people list", f"{_COMMANDS}.people:list_", "List the platform's people"),
                ("people invite", f"{_COMMANDS}.invitations:invite", "Invite somebody by a one-time link"),
                ("people invitations", f"{_COMMANDS}.invitations:invitations", "List invitations not used yet"),
                ("people renew", f"{_COMMANDS}.invitations:renew", "Make a new link for an invitation"),
                ("people withdraw", f"{_COMMANDS}.invitations:withdraw", "Withdraw an invitation"),
                ("people add", f"{_COMMANDS}.people:add", "Add a person and print their sign-in link"),
                ("people show", f"{_COMMANDS}.people:show", "Show what a person has access to"),
                ("people reset", f"{_COMMANDS}.people:reset", "Print a new sign-in link for a person"),
                ("people suspend", f"{_COMMANDS}.standing:suspend", "Keep a person out"),
                ("people reinstate", f"{_COMMANDS}.standing:reinstate", "Let a suspended person back in"),
                ("people promote", f"{_COMMANDS}.standing:promote", "Make somebody administrator"),
                ("people demote", f"{_COMMANDS}.standing:demote", "Make somebody administrator no longer"),
                ("people hand-over", f"{_COMMANDS}.standing:hand_over", "Hand over all that a person owns"),
                ("people erase", f"{_COMMANDS}.standing:erase", "Erase what is personal of who left"),
                ("banner", f"{_COMMANDS}.banner:show", "Show what everybody is told"),
                ("banner post", f"{_COMMANDS}.banner:post", "Tell everybody something"),
                ("banner clear", f"{_COMMANDS}.banner:clear", "Take down what everybody is told"),
                ("audit", f"{_COMMANDS}.auditing:audit", "Show the record of changes"),
                ("completion", f"{_COMMANDS}.completion:completion", "Print a script for shell completion"),
            ),
        ),
    )
    for words, target, summary in rows
)


def find(args: Sequence[str]) -> Entry | None:
    """Return the command that the first words of `args` name, or None."""
    by_words = {entry.words: entry for entry in COMMANDS}
    return by_words.get(" ".join(args[:2])) or by_words.get(" ".join(args[:1]))


def below(noun: str) -> list[Entry]:
    """Return the commands of a noun that has several, such as `keys`."""
    return [entry for entry in COMMANDS if entry.words.startswith(f"{noun} ")]
