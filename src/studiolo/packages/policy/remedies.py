"""What somebody can do about a refusal, in one line."""

from collections.abc import Iterable

from studiolo.packages.policy.decisions import Ecosystem, Verdict

# What no approval changes.
_BY_CODE = {
    "hash-changed": "An administrator must look at this: the file is not the one that was checked before.",
    "untrusted-channel": "An administrator can add it to trusted_channels of the policy.",
    "internal-name": "Only the organisation's own channels may answer for this name.",
}


def wish_of(verdict: str, name: str, version: str | None) -> str:
    """Return what to ask for: the version, where others of it pass."""
    return f"{name}=={version}" if verdict == Verdict.HIDE and version else name


def remedy_of(workspace: str, refused: Iterable[tuple[str, Ecosystem, str]], *, program: str = "studiolo") -> str:
    """Return what to do about what was refused in a workspace: code, ecosystem and wish of each package."""
    words: dict[str, None] = {}
    asked: dict[Ecosystem, dict[str, None]] = {}
    for code, ecosystem, name in refused:
        if code in _BY_CODE:
            words[_BY_CODE[code]] = None
        else:
            asked.setdefault(ecosystem, {})[name] = None
    commands = [
        f"{program} request {workspace} {' '.join(names)}{' --conda' if ecosystem == 'conda' else ''}"
        for ecosystem, names in asked.items()
    ]
    return " ".join([*words, *([f"Ask for it: {' and '.join(commands)}"] if commands else [])])
