"""Entries of a policy as people write them, and the rules that they become.

| Entry | Rule |
|---|---|
| `numpy`, `pandas<3`, `numpy=1.26` | distribution: a package, or some of its versions; conda's one `=` is `==1.26.*` |
| `socket` | module of the standard library: code that imports it is reported; a package of that name is refused too |
| `os.system` | call: code that calls it is reported; an index cannot prevent it |
| `acme-*` | pattern of names, where an organisation names what is its own |
"""

import re
import sys
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from studiolo.packages.names import canonical, key

Kind = Literal["distribution", "module", "call"]

_ENTRY = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)\s*(?P<specifier>[<>=!~].*)?", re.ASCII)
_CALL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)+", re.ASCII)
_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\*?", re.ASCII)
_CONDA_EQUALS = re.compile(r"=(?P<version>[0-9][0-9A-Za-z.]*)")
_CHANNEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?", re.ASCII)
_LONGEST = 200
# What people who think of pip call the index that this machine's own tools are configured with.
_CHANNEL_NAMES = {"pypi": "defaults"}
# Gone from newer Pythons, but not from what people block.
_FORMER_MODULES = frozenset(
    name
    for names in (
        "aifc asynchat asyncore cgi cgitb chunk crypt distutils imghdr imp mailcap msilib nis nntplib ossaudiodev",
        "pipes smtpd sndhdr spwd sunau telnetlib uu xdrlib",
    )
    for name in names.split()
)
_MODULES = sys.stdlib_module_names | _FORMER_MODULES


@dataclass(frozen=True)
class Rule:
    """One entry. `name`: a distribution's key, a module, or a dotted call. `source`: where it stands, for people."""

    entry: str
    kind: Kind
    name: str
    specifier: str
    source: str

    @cached_property
    def versions(self) -> SpecifierSet | None:
        """The versions that it is about; None for all."""
        return SpecifierSet(self.specifier) if self.specifier else None

    def covers(self, version: str, *, unreadable: bool) -> bool:
        """Tell whether it is about that version; `unreadable` is the answer where the version is not PEP 440's."""
        if self.versions is None:
            return True
        parsed = read_version(version)
        return unreadable if parsed is None else self.versions.contains(parsed, prereleases=True)


def read_entry(text: str, source: str) -> Rule:
    """Return the rule that an entry becomes; raises ValueError with a sentence that says what would be right."""
    entry = text.strip()
    if not entry or len(entry) > _LONGEST or not entry.isprintable():
        raise ValueError(f"must be a name of at most {_LONGEST} characters")
    if "[" in entry:
        raise ValueError(f"{entry!r}: extras do not change what is judged; write {entry.split('[')[0]!r}")
    if "@" in entry or ";" in entry or "://" in entry or entry.startswith(("-", ".", "/")):
        raise ValueError(f"{entry!r}: addresses, paths, options and markers are no rules; write a name such as 'six<2'")
    if entry in _MODULES:
        return Rule(entry, "module", entry, "", source)
    if _CALL.fullmatch(entry) and entry.split(".")[0] in _MODULES:
        return Rule(entry, "call", entry, "", source)
    found = _ENTRY.fullmatch(entry)
    if found is None:
        raise ValueError(f"{entry!r} is no rule: write a name (six), versions (six<2), a module or a call (os.system)")
    name = key(canonical("pypi", found["name"]))
    return Rule(entry, "distribution", name, read_specifier(found["specifier"] or ""), source)


def read_specifier(text: str) -> str:
    """Return versions in PEP 440's words; raises ValueError. conda's `=1.26` is taken too."""
    text = text.strip()
    if conda := _CONDA_EQUALS.fullmatch(text):
        text = f"=={conda['version']}.*"
    try:
        return str(SpecifierSet(text))
    except InvalidSpecifier as exc:
        raise ValueError(f"{text[:60]!r} are no versions: write them as '==2.0.0', '<3' or '>=1.4,<2'") from exc


def read_pattern(text: str) -> str:
    """Return the key of a name, or of its beginning with `*` after it; raises ValueError."""
    pattern = text.strip()
    if len(pattern) > _LONGEST or not _PATTERN.fullmatch(pattern):
        raise ValueError(f"{text[:60]!r} is no pattern of names: write a name, or its beginning and '*' (acme-*)")
    return key(pattern)


def read_channel(text: str) -> str:
    """Return the name of a channel; raises ValueError. `pypi` is another name of `defaults`, the machine's index."""
    channel = text.strip()
    if len(channel) > _LONGEST or not _CHANNEL.fullmatch(channel):
        raise ValueError(f"{text[:60]!r} is no name of a channel: an administrator sets addresses, a policy names them")
    return _CHANNEL_NAMES.get(channel, channel)


def describe_limits(rule: Rule) -> str | None:
    """Return what a rule cannot do and people might take for granted; None for a package's."""
    if rule.kind == "distribution":
        return None
    what = "a module of the standard library" if rule.kind == "module" else "a call"
    does = "imports it" if rule.kind == "module" else "makes it"
    return f"{rule.entry} is {what}, not a package: code that {does} is reported, and an index cannot prevent it."


@lru_cache(maxsize=20_000)
def read_version(text: str) -> Version | None:
    """Return the version, None for what is not PEP 440's (conda has such)."""
    try:
        return Version(text)
    except InvalidVersion:
        return None
