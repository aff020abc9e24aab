"""Which Host headers are ours, and where a session is served. Decided from settings and our own records only."""

import ipaddress
import re
import socket
import ssl
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

from studiolo.contract.ids import IdKind, looks_like_id
from studiolo.server.settings import Settings

_NOT_SAFARI = re.compile(r"Chrom|CriOS|Edg|FxiOS|Firefox|OPR|Android|HeadlessChrome")


class HostKind(Enum):
    """What a Host header names."""

    PLATFORM = auto()
    SESSION = auto()
    UNKNOWN = auto()


@dataclass(frozen=True, slots=True)
class Host:
    """A classified Host. `origin` is what a browser's Origin must equal."""

    kind: HostKind
    origin: str
    session_id: str | None = None


class Hosts:
    """Classifies Host headers and names the places of sessions."""

    def __init__(self, settings: Settings) -> None:
        self._domain = settings.domain.lower()
        self._scheme = settings.scheme
        self._port = settings.address.partition("://")[2].partition(":")[2]
        self._platform = _platform_names(settings)
        self._rule = settings.sessions.origin
        self._has_names = _has_session_names(settings)
        self.address = settings.address

    def classify(self, header: str) -> Host:
        """Say whose a Host header is; the port must be ours."""
        text = header.strip().lower().rstrip(".")
        name, _, port = text.rpartition(":") if not text.endswith("]") and ":" in text else (text, "", "")
        origin = f"{self._scheme}://{text}"
        if port != self._port:
            return Host(HostKind.UNKNOWN, origin)
        if name in self._platform:
            return Host(HostKind.PLATFORM, origin)
        label, dot, rest = name.partition(".")
        if dot and rest == self._domain and looks_like_id(label, IdKind.SESSION):
            return Host(HostKind.SESSION, origin, label)
        return Host(HostKind.UNKNOWN, origin)

    def has_own_origins(self, host: str, user_agent: str) -> bool:
        """Tell whether this browser, on this Host, reaches sessions at origins of their own.

        Safari does not resolve names under `localhost`; bare addresses and other host names have none below.
        """
        if self._rule == "shared" or not self._has_names:
            return self._rule == "own"
        name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
        if self._rule == "own":
            return True
        is_safari = "Safari/" in user_agent and not _NOT_SAFARI.search(user_agent)
        return name.lower() == self._domain and not (is_safari and self._domain.endswith("localhost"))

    @property
    def is_single_team(self) -> bool:
        """Whether every browser meets sessions on the platform's own origin."""
        return self._rule == "shared" or (self._rule == "auto" and not self._has_names)

    def session_origin(self, session_id: str) -> str:
        """Origin of a session, without a trailing slash."""
        return f"{self._scheme}://{session_id}.{self._domain}" + (f":{self._port}" if self._port else "")


def _platform_names(settings: Settings) -> frozenset[str]:
    names = {
        settings.domain.lower(),
        "localhost",
        "127.0.0.1",
        "[::1]",
        *(n.lower() for n in settings.hostnames),
    }
    try:
        address = ipaddress.ip_address(settings.host)
    except ValueError:
        names.add(settings.host.lower())
    else:
        if not address.is_unspecified:
            names.add(f"[{address}]" if address.version == 6 else str(address))
        else:
            names |= _own_names()
    return frozenset(names)


def _own_names() -> set[str]:
    # Reachable from elsewhere: answer to the machine's own names and addresses, not to any name that points here.
    import psutil

    names = {socket.gethostname().lower(), socket.getfqdn().lower()}
    for addresses in psutil.net_if_addrs().values():
        for entry in addresses:
            if entry.family == socket.AF_INET:
                names.add(entry.address)
            elif entry.family == socket.AF_INET6:
                names.add(f"[{entry.address.partition('%')[0]}]")
    return names


def _has_session_names(settings: Settings) -> bool:
    if settings.domain == "localhost" or settings.domain.endswith(".localhost") or settings.tls.mode == "internal":
        return True
    if settings.tls.mode == "files" and settings.tls.certificate is not None:
        return f"*.{settings.domain}" in _certificate_names(settings.tls.certificate)
    return False


def _certificate_names(path: Path) -> set[str]:
    try:
        # The standard library's own reader of a certificate file; it has no public name.
        found = ssl._ssl._test_decode_cert(str(path))  # type: ignore[attr-defined]
    except (OSError, ssl.SSLError):
        return set()
    return {value for kind, value in found.get("subjectAltName", ()) if kind == "DNS"}
