"""Addresses of platforms: how people write them, and what may be sent where."""

import ipaddress
from urllib.parse import SplitResult, urlsplit

from studiolo.contract.errors import InvalidInput

_STANDARD_PORTS = {"http": 80, "https": 443}


def normal_address(text: str) -> str:
    """Return the one spelling of an address: scheme, lower-case host, port unless standard, no trailing slash.

    Without a scheme, this machine is reached by http and others by https. Raises InvalidInput
    (`address-invalid`) for anything else than a host and a port, since a key must not follow a path.
    """
    given = text.strip()
    schemed = given if "://" in given else f"https://{given}"
    parts = _split(schemed, given)
    host = (parts.hostname or "").rstrip(".")
    extra = parts.path.strip("/") or parts.query or parts.fragment or parts.username
    if parts.scheme not in _STANDARD_PORTS or not host or extra or any(c.isspace() for c in host):
        raise _invalid(given)
    scheme = "http" if "://" not in given and _is_loopback_host(host) else parts.scheme
    shown = f"[{host}]" if ":" in host else host
    port = parts.port
    return f"{scheme}://{shown}" + ("" if port in (None, _STANDARD_PORTS[scheme]) else f":{port}")


def is_loopback(address: str) -> bool:
    """Tell whether an address leads to this machine by its spelling; no name is looked up."""
    return _is_loopback_host(urlsplit(address).hostname or "")


def is_encrypted(address: str) -> bool:
    """Tell whether what is sent to an address is encrypted."""
    return urlsplit(address).scheme == "https"


def port_of(address: str) -> int:
    """Return the TCP port of an address."""
    parts = urlsplit(address)
    return parts.port or _STANDARD_PORTS[parts.scheme]


def _is_loopback_host(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _split(schemed: str, given: str) -> SplitResult:
    try:
        parts = urlsplit(schemed)
        _ = parts.port
    except ValueError as exc:
        raise _invalid(given) from exc
    return parts


def _invalid(given: str) -> InvalidInput:
    return InvalidInput(
        "address-invalid",
        f"{given!r} is not the address of a platform.",
        hint="Write it like https://notebooks.example.com or http://localhost:8888.",
    )
