"""Flags that several commands share, and the settings that they make."""

import ipaddress
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from studiolo.server.settings import Settings, load_settings

_PRIVATE_ENDINGS = ("localhost", "local", "lan", "internal", "test", "invalid", "example", "home.arpa")


class TLSMode(StrEnum):
    """Values of --tls."""

    OFF = "off"
    INTERNAL = "internal"
    ACME = "acme"
    PROXY = "proxy"


DataDir = Annotated[
    Path | None, typer.Option("--data-dir", help="Where the platform keeps everything.", metavar="FOLDER")
]
Port = Annotated[int | None, typer.Option("--port", help="The one TCP port.", min=1, max=65535)]
Host = Annotated[str | None, typer.Option("--host", help="Address to listen on; loopback unless given.")]
Domain = Annotated[
    str | None, typer.Option("--domain", help="Name that people use; a public one gets its certificate by ACME.")
]
TLS = Annotated[
    TLSMode | None,
    typer.Option("--tls", help="`internal`: certificates of a local authority; `proxy`: one before it has them."),
]
TLSCert = Annotated[
    Path | None, typer.Option("--tls-cert", help="PEM certificate; a wildcard one serves sessions too.", metavar="FILE")
]
TLSKey = Annotated[Path | None, typer.Option("--tls-key", help="PEM private key of the certificate.", metavar="FILE")]
AsJSON = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
StopSessions = Annotated[bool, typer.Option("--stop-sessions", help="End all sessions too when the platform stops.")]


def platform_settings(
    *,
    data_dir: Path | None = None,
    port: int | None = None,
    host: str | None = None,
    domain: str | None = None,
    tls: TLSMode | None = None,
    tls_cert: Path | None = None,
    tls_key: Path | None = None,
) -> Settings:
    """Load the settings; flags that were given win. Raises InvalidInput (`settings-invalid`)."""
    settings = load_settings(data_dir=data_dir, port=port, host=host, domain=domain, tls=_tls(tls, tls_cert, tls_key))
    if tls is None and tls_cert is None and domain is not None and is_public_name(domain):
        return load_settings(
            data_dir=data_dir, port=port, host=host, domain=domain, tls={"mode": _for_public(settings)}
        )
    return settings


def is_public_name(name: str) -> bool:
    """Tell whether a certificate authority could know the name: no address, no bare or private name."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return "." in name and not any(name == end or name.endswith(f".{end}") for end in _PRIVATE_ENDINGS)
    return False


def _for_public(settings: Settings) -> str:
    return "acme" if settings.tls.mode == "off" else settings.tls.mode


def _tls(mode: TLSMode | None, certificate: Path | None, key: Path | None) -> dict[str, Any] | None:
    if certificate is not None or key is not None:
        return {"mode": "files", "certificate": certificate, "key": key}
    return {"mode": mode.value} if mode else None
