"""What the tools of a workload are told of our index, from this platform's settings and the workspace's policy."""

import asyncio
import os
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

from studiolo.contract.errors import StudioloError
from studiolo.kit.files import write_atomically
from studiolo.packages.clients.configuration import Configuration, Index, Places, configure
from studiolo.packages.conda.channels import Channels
from studiolo.packages.policy.effective import Policy
from studiolo.runtime import guard
from studiolo.server.settings import Settings
from studiolo.server.workspaces.folders import Folders

# The name under which a workload's key signs in at the index.
LOGIN = "session"
# Where Debian's and Red Hat's families of systems have them.
_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")

FindPolicy = Callable[[str], Awaitable[tuple[int, Policy]]]
# Workspace, person, environment and key of a workload → what its tools are told.
Configure = Callable[[str, str, Path, str], Awaitable[Configuration]]


class PackageClients:
    """Configures tools. `find_policy`: the number and the policy in force in a workspace."""

    def __init__(self, settings: Settings, folders: Folders, find_policy: FindPolicy) -> None:
        self._settings = settings
        self._folders = folders
        self._find_policy = find_policy
        self._known = Channels(settings.packages.conda_channels)

    async def configure(self, workspace_id: str, person_id: str, environment: Path, key: str) -> Configuration:
        """Return what leads the tools of a workload to our index, where they sign in with its narrow key."""
        index = await self.index(workspace_id)
        own = self._folders.of_person(workspace_id, person_id)
        told = configure(index, Places(environment, own / "packages", own / "cache"), LOGIN, key)
        return replace(told, variables={**told.variables, **await self._guarded(workspace_id)})

    async def index(self, workspace_id: str) -> Index:
        """Return our index as it is reached for a workspace."""
        certificates = await asyncio.to_thread(self._certificates)
        channels = await self._channels(workspace_id)
        usual = [name for name in self._known.usual if name in channels]
        return Index(index_address(self._settings), certificates, channels, usual)

    async def _channels(self, workspace_id: str) -> dict[str, str]:
        known = self._settings.packages.conda_channels
        try:
            _, policy = await self._find_policy(workspace_id)
        except StudioloError:
            # The index says what is wrong with it, to whoever asks for a package.
            return dict(known)
        return {name: known.get(name, "") for name in policy.channels}

    async def _guarded(self, workspace_id: str) -> dict[str, str]:
        """Return the variable by which kernels are told of rules on code, empty where these are reported only."""
        try:
            _, policy = await self._find_policy(workspace_id)
        except StudioloError:
            return {}
        names = " ".join(rule.name for rule in policy.code)
        return {guard.VARIABLE: names} if policy.code_rules == "guard" else {}

    def _certificates(self) -> Path | None:
        """Return a bundle of what the machine trusts and the local authority; None where there is no such."""
        authority = self._settings.authority_file
        if authority is None or not authority.exists():
            return None
        bundle = self._settings.trusted_file
        content = _machine_bundle().read_bytes().rstrip() + b"\n" + authority.read_bytes()
        if not bundle.exists() or bundle.read_bytes() != content:
            write_atomically(bundle, content.decode(), mode=0o644)
        return bundle


def index_address(settings: Settings) -> str:
    """Return the front door's address as workloads of this machine reach the index, without a trailing slash.

    Without TLS it is another host name than the platform's own: libraries send what a netrc file has for a name with
    every request to it, in place of a key that a program of the person's shows the platform.
    """
    if settings.scheme == "https":
        return settings.address
    try:
        address = ip_address(settings.host)
    except ValueError:
        host = "127.0.0.1" if settings.host == "localhost" else settings.host
    else:
        is_ours = address.is_unspecified or address.is_loopback
        host = "127.0.0.1" if is_ours else f"[{address}]" if address.version == 6 else str(address)
    return f"http://{host}" + ("" if settings.port == 80 else f":{settings.port}")


def _machine_bundle() -> Path:
    given = (os.environ.get("SSL_CERT_FILE"), os.environ.get("REQUESTS_CA_BUNDLE"))
    known = (*given, ssl.get_default_verify_paths().cafile, *_BUNDLES)
    return next((Path(file) for file in known if file and Path(file).is_file()), Path(os.devnull))
