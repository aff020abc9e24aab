"""What code, commands and settings are judged by."""

from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

# Names of indexes that stand for what tools have built in: with our settings they ask elsewhere.
_WEB = ("http", "https", "ftp", "file", "git+", "hg+", "svn+", "bzr+", "oci", "s3")


@dataclass(frozen=True, slots=True)
class Grounds:
    """`modules` and `calls`: of the policy's code rules. `refusal(name)`: the rule that refuses a package, or None;
    `block(name)`: the same for packages that are blocked by name, and not merely look alike or need an approval.

    `indexes`: hosts (with port) that are the workspace's own index. `channels`: trusted ones of conda, lower case.
    """

    modules: frozenset[str] = frozenset()
    calls: frozenset[str] = frozenset()
    refusal: Callable[[str], str | None] = field(default=lambda name: None)
    block: Callable[[str], str | None] = field(default=lambda name: None)
    indexes: frozenset[str] = frozenset()
    channels: frozenset[str] = frozenset()

    def is_elsewhere(self, address: str) -> bool:
        """Tell whether an index's or channel's address is another one than the workspace's own."""
        return host_of(address) not in self.indexes

    def is_foreign_channel(self, channel: str) -> bool:
        """Tell whether a conda channel, by name or address, is none that the policy trusts."""
        if is_address(channel):
            return self.is_elsewhere(channel)
        return channel.strip().partition("/")[0].lower() not in self.channels


def is_address(text: str) -> bool:
    """Tell whether something names a place, and not a package or channel: a URL, a repository or a path."""
    return "://" in text or text.startswith(_WEB[4:8]) or text.startswith(("/", "./", "../", "~", ".\\"))


def host_of(address: str) -> str:
    """Return host and port of an address, without what may be a password; the scheme's name where it has none."""
    try:
        parts = urlsplit(address.strip().strip("\"'"))
    except ValueError:
        return "?"
    return parts.netloc.rpartition("@")[2].lower() or parts.scheme or address[:80]
