"""What a scan looks for: each rule with its severity, why it matters and what to do."""

import hashlib
from dataclasses import dataclass

from studiolo.contract.scans import Finding, Place, Severity

# Text of foreign origin in a finding is clipped to this.
_MOST_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Rule:
    """`id` is stable. `title`: what it is about; `why` and `next_step`: sentences for people."""

    id: str
    severity: Severity
    title: str
    why: str
    next_step: str

    def found(
        self,
        place: Place,
        what: str,
        *key: str,
        severity: Severity | None = None,
        why: str | None = None,
        next_step: str | None = None,
    ) -> Finding:
        """Return a finding. `key`: what tells it from others of this rule in the same cell, file or package."""
        known = (self.id, place.path or "", place.cell or "", place.package or "", *(key or (what,)))
        digest = hashlib.sha256("\0".join(known).encode(errors="surrogateescape")).hexdigest()
        return Finding(
            id=f"f-{digest[:16]}",
            rule=self.id,
            severity=severity or self.severity,
            place=place,
            what=what,
            why=why or self.why,
            next_step=next_step or self.next_step,
        )


def clipped(text: str, most: int = _MOST_SHOWN) -> str:
    """Return foreign text on one line, not longer than `most`, with what cannot be printed replaced."""
    shown = "".join(sign if sign.isprintable() else "�" for sign in text[: most + 1].replace("\n", " "))
    return shown if len(text) <= most else shown[:most] + "…"


_LOW, _MEDIUM, _HIGH = Severity.LOW, Severity.MEDIUM, Severity.HIGH

# The environment.
UNVERIFIED = Rule(
    "unverified-package",
    _HIGH,
    "Package that the index did not deliver",
    "Its files are neither the base's nor any that the package index delivered to this workspace.",
    "Remove it and install it with `studiolo install`; if you know where it comes from, accept it with a reason.",
)
MODIFIED = Rule(
    "modified-package",
    _HIGH,
    "Package whose files were changed",
    "Files differ from what the package's own list says, so what runs is not what was delivered.",
    "Install it again; somebody or some program edited it in place.",
)
ORPHAN = Rule(
    "orphaned-code",
    _MEDIUM,
    "Code that belongs to no package",
    "It can be imported in this environment and no package owns it.",
    "Remove the file, or move it among the workspace's files.",
)
START_HOOK = Rule(
    "start-hook",
    _HIGH,
    "Code that runs whenever Python starts",
    "A .pth file (or sitecustomize) that no package owns is read at each start of Python in this environment.",
    "Remove the file unless you put it there.",
)
UNREADABLE_PACKAGE = Rule(
    "unreadable-package",
    _HIGH,
    "Package whose own list of files cannot be trusted",
    "Its RECORD or metadata is missing, broken, or names files outside the environment.",
    "Remove the package, and install it again.",
)
BLOCKED = Rule(
    "blocked-package",
    _HIGH,
    "Installed package that the policy refuses",
    "The policy that holds now does not let it in; it came before the policy changed, or around it.",
    "Remove it: `studiolo remove`; or ask for it: `studiolo request`.",
)
HIDDEN_VERSION = Rule(
    "version-not-allowed",
    _MEDIUM,
    "Installed version that the policy hides",
    "The policy lets other versions of this package in, and not this one.",
    "Install a version that the policy allows: `studiolo check-package` names them.",
)
VENDORED = Rule(
    "vendored-package",
    _MEDIUM,
    "Copy of a blocked package inside another",
    "A blocked package can be imported from inside one that is allowed.",
    "Remove the package that carries it if nothing needs it, or accept it with a reason.",
)
ENVIRONMENT_UNREADABLE = Rule(
    "environment-not-read",
    _HIGH,
    "Environment that could not be read",
    "What is installed is unknown, and unknown is not clean.",
    "Reset the environment (`studiolo reset`), or see the server's log.",
)

# Vulnerabilities.
VULNERABLE = Rule(
    "vulnerable-package",
    _HIGH,
    "Installed version with a known vulnerability",
    "An advisory names this version.",
    "Install a version in which it is fixed.",
)
NOT_LOOKED_UP = Rule(
    "vulnerabilities-unknown",
    _MEDIUM,
    "Packages whose vulnerabilities are unknown",
    "They could not be looked up, and unknown is not clean.",
    "Look them up by hand; an administrator sets packages.osv_folder to an OSV export.",
)
OLD_DATA = Rule(
    "vulnerability-data-old",
    _LOW,
    "Old vulnerability data",
    "Vulnerabilities published since then are not known here.",
    "An administrator renews the export in packages.osv_folder.",
)

# Notebooks and scripts.
BLOCKED_IMPORT = Rule(
    "blocked-import",
    _HIGH,
    "Import of a module that the policy blocks",
    "The policy has a rule on this module. It is reported here; no package index can prevent it.",
    "Do it another way, or have the rule changed.",
)
BLOCKED_CALL = Rule(
    "blocked-call",
    _HIGH,
    "Use of a function that the policy blocks",
    "The policy has a rule on this function. It is reported here; no package index can prevent it.",
    "Do it another way, or have the rule changed.",
)
BLOCKED_PACKAGE_USED = Rule(
    "blocked-package-used",
    _LOW,
    "Import of a package that the policy blocks",
    "The policy lets nobody install this package; what the base brings can still be imported.",
    "Use another package, or ask for this one: `studiolo request`.",
)
DYNAMIC = Rule(
    "dynamic-code",
    _MEDIUM,
    "Code whose effect cannot be read",
    "What it imports or runs is only known when it runs, so rules on modules and functions cannot be checked.",
    "Write the name out, or look at the code and accept it with a reason.",
)
REMOTE_SCRIPT = Rule(
    "remote-script",
    _HIGH,
    "Code that is fetched and run at once",
    "Nobody can read it before it runs, and it may be another one each time.",
    "Fetch it into the workspace, read it, and run that.",
)
INSTALL_ELSEWHERE = Rule(
    "install-elsewhere",
    _HIGH,
    "Installation from elsewhere than the workspace's index",
    "It goes around the package policy: another index, a web address, a repository or a local archive.",
    "Install by name from the workspace's own index.",
)
BLOCKED_INSTALL = Rule(
    "blocked-install",
    _MEDIUM,
    "Installation of a package that the policy refuses",
    "The index refuses it, so this cell fails.",
    "Use another package, or ask for this one: `studiolo request`.",
)
SHELL_INSTALL = Rule(
    "shell-install",
    Severity.INFO,
    "Installation in a notebook",
    "Who runs this notebook changes the environment of the whole workspace.",
    "Install once with `studiolo install`, and leave the cell out.",
)
UNPARSABLE = Rule(
    "unparsable-code",
    _LOW,
    "Code that cannot be parsed",
    "What it does is unknown, and unknown is not clean.",
    "Mend it, or make it a Markdown cell.",
)
UNREADABLE = Rule(
    "unreadable-file",
    _MEDIUM,
    "File that could not be read",
    "What it holds is unknown, and unknown is not clean.",
    "Make it smaller or mend it; a notebook loses its size with its outputs.",
)
LINK_OUT = Rule(
    "link-outside",
    _MEDIUM,
    "Link that leads out of the workspace",
    "Who opens it reads or changes something that is not the workspace's.",
    "Remove it; an administrator shares folders as datasets.",
)
ODD_NAME = Rule(
    "odd-name",
    _LOW,
    "Name that shows as something else",
    "It holds signs that cannot be printed or that turn the direction of writing.",
    "Rename it.",
)
ARCHIVE = Rule(
    "package-file",
    _LOW,
    "Package that lies among the files",
    "It can be installed, or imported, without the package index.",
    "Delete it if nothing needs it.",
)

# Secrets, configuration, the policy itself.
SECRET = Rule(
    "secret",
    _HIGH,
    "Secret in a file",
    "Who may read the workspace may use it, and it goes wherever the file goes.",
    "Revoke it where it was made, take it out of the file (outputs too), and keep it in a variable of the workspace.",
)
DRIFT = Rule(
    "configuration-drift",
    _HIGH,
    "Settings that lead tools to another index",
    "pip, uv, conda or another tool asks there and not the workspace's own index.",
    "Remove the setting.",
)
ALIAS = Rule(
    "policy-alias",
    _LOW,
    "Rule that leaves other names of the same package open",
    "The same code can be installed under a name that the rule does not cover.",
    "Add the other names to the rule.",
)
UNUSED_RULE = Rule(
    "policy-rule-unused",
    Severity.INFO,
    "Rule of the policy that matches nothing here",
    "It may be misspelt, or no longer be needed.",
    "See whether it says what was meant.",
)
INCOMPLETE = Rule(
    "scan-incomplete",
    _MEDIUM,
    "Part of the workspace that was not looked at",
    "What is there is unknown, and unknown is not clean.",
    "Move large or many files out of the workspace, and scan again.",
)

RULES: dict[str, Rule] = {rule.id: rule for rule in list(globals().values()) if isinstance(rule, Rule)}

# Of these, the scan knows that it does not know: without others the verdict is `incomplete`.
UNKNOWNS = frozenset(
    rule.id for rule in (NOT_LOOKED_UP, OLD_DATA, UNPARSABLE, UNREADABLE, INCOMPLETE, ENVIRONMENT_UNREADABLE)
)
