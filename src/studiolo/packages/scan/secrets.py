"""Secrets in text, by detect-secrets. Their values leave this module only as a keyed hash.

Nothing is ever tried out: detect-secrets can ask services whether a secret is live, and that filter is off.
"""

import functools
import hashlib
import hmac
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
from detect_secrets.filters import heuristic
from detect_secrets.plugins.base import BasePlugin, RegexBasedDetector
from detect_secrets.plugins.high_entropy_strings import HighEntropyStringsPlugin
from detect_secrets.settings import get_settings

from studiolo.contract.scans import Finding, Place
from studiolo.packages.scan import rules

# An address of a machine is no secret.
_NOT_WANTED = frozenset({"Public IP (ipv4)"})
_LONGEST_LINE = 4_000
_MOST_LINES = 20_000
_MOST_FOUND = 100
_SHORTEST = 8


@dataclass(frozen=True, slots=True)
class Keyed:
    """Hashes secrets with the platform's key, so that equal ones are seen to be equal and nobody can guess them."""

    key: bytes

    def __call__(self, secret: str) -> str:
        """Return 16 hexadecimal digits."""
        return hmac.new(self.key, secret.encode(errors="surrogateescape"), hashlib.sha256).hexdigest()[:16]


def find_secrets(text: str, place: Place, keyed: Keyed, *, where: str = "") -> Iterator[Finding]:
    """Yield a finding for each secret in a text, once. `where`: what part of a file it is (`output 2`), for people."""
    told: set[str] = set()
    for number, line in enumerate(text.split("\n")[:_MOST_LINES]):
        # Longer ones are data (pictures, minified scripts) and would be looked through piece by piece.
        for start in range(0, min(len(line), 4 * _LONGEST_LINE), _LONGEST_LINE):
            for kind, secret in _in_line(line[start : start + _LONGEST_LINE]):
                digest = keyed(secret)
                if digest in told:
                    continue
                told.add(digest)
                # Lines of outputs and metadata are nobody's lines.
                at = place.model_copy(update={"line": None if where else (place.line or 1) + number})
                part = f" in {where}" if where else ""
                yield rules.SECRET.found(at, f"{kind}{part} (hash {digest})", kind, digest, where)
                if len(told) >= _MOST_FOUND:
                    return


def _in_line(line: str) -> Iterator[tuple[str, str]]:
    if len(line) < _SHORTEST or line.isspace() or _is_allowed(line):
        return
    specific: set[str] = set()
    for plugin in _plugins():
        if specific and _generality(plugin) == 2:
            return
        for secret in _found_by(plugin, line):
            if not _is_harmless(secret, line, plugin):
                specific.add(secret)
                yield plugin.secret_type, secret


def _found_by(plugin: BasePlugin, line: str) -> set[str]:
    found = plugin.analyze_line(filename="", line=line, line_number=0)
    if found and isinstance(plugin, RegexBasedDetector):
        # Of some tokens a plug-in tells the prefix alone, which all of that kind share.
        return {match[0] for pattern in plugin.denylist for match in pattern.finditer(line)}
    return {one.secret_value for one in found if one.secret_value}


def _is_harmless(secret: str, line: str, plugin: BasePlugin) -> bool:
    if isinstance(plugin, RegexBasedDetector):
        return False
    return (
        heuristic.is_sequential_string(secret)
        or heuristic.is_potential_uuid(secret)
        or heuristic.is_likely_id_string(secret, line, plugin)
        or heuristic.is_templated_secret(secret)
        or heuristic.is_prefixed_with_dollar_sign(secret)
        or heuristic.is_not_alphanumeric_string(secret)
        or heuristic.is_indirect_reference(line)
    )


def _is_allowed(line: str) -> bool:
    return "pragma: allowlist" in line or "pragma: whitelist" in line


@functools.cache
def _plugins() -> tuple[BasePlugin, ...]:
    """All detectors, the general ones last: what a specific one has named they would only repeat."""
    get_settings().filters.clear()
    kinds: dict[str, Callable[[], BasePlugin]] = dict(get_mapping_from_secret_type_to_class())
    return tuple(sorted((kinds[name]() for name in kinds.keys() - _NOT_WANTED), key=_generality))


def _generality(plugin: BasePlugin) -> int:
    if isinstance(plugin, HighEntropyStringsPlugin):
        return 2
    return 0 if isinstance(plugin, RegexBasedDetector) else 1
