"""A host that stands alone: where it keeps things, who may come in, how it runs until it is told to stop."""

import asyncio
import hashlib
import os
import signal
import ssl
import sys
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jupyter_core.paths import jupyter_path

from studiolo.contract.errors import Conflict
from studiolo.gateway.base import Wish
from studiolo.gateway.bridged import BridgedAuthority, BridgedLauncher
from studiolo.gateway.certificates import Certificate
from studiolo.gateway.composition import Host
from studiolo.gateway.hosted import Hosted
from studiolo.gateway.keys import VARIABLE, Keys, make_key, read_keys
from studiolo.gateway.offers.catalogue import Catalogue
from studiolo.gateway.settings import HostSettings
from studiolo.gateway.standalone import Rules, StandaloneAuthority, check_open
from studiolo.gateway.starting.launching import LocalLauncher
from studiolo.kit import rundir

_LONGEST_SOCKET = "k/0123456789ab/k-0123456789ab-5"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a host listens and who may come in. `key_file` None: a key of its own, made when there is none.

    `certificate` None: plain HTTP.
    """

    address: str
    port: int
    is_open: bool
    key_file: Path | None
    certificate: Certificate | None = None

    @property
    def scheme(self) -> str:
        """What its address begins with."""
        return "http" if self.certificate is None else "https"


@dataclass(frozen=True, slots=True)
class Access:
    """The keys that were found or made. `shown`: a new key that its owner must be told; `where`: where it is kept."""

    keys: Keys | None
    shown: str | None
    where: str


def default_data() -> Path:
    """Return where a gateway keeps journals when nothing is said."""
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "studiolo-gateway"


def run_folder(data: Path) -> Path:
    """Make and return the short private folder for sockets of a data directory. Raises Unavailable."""
    digest = hashlib.sha256(str(data.resolve()).encode()).hexdigest()[:8]
    base = os.environ.get("XDG_RUNTIME_DIR", "")
    short = 0 < len(base) < 40 and Path(base).is_dir()
    folder = Path(base) / f"stg-{digest}" if short else Path("/tmp") / f"stg-{os.getuid()}-{digest}"  # noqa: S108
    rundir.prepare(folder, longest_name=_LONGEST_SOCKET)
    return folder


def default_roots() -> list[Path]:
    """Return where kernels are looked for when nothing is said: this environment, and Jupyter's own folders."""
    return [Path(sys.prefix), *(Path(folder) for folder in jupyter_path("kernels") if Path(folder).is_dir())]


def find_access(place: Place, data: Path) -> Access:
    """Return who may come in. Raises Denied (`address-insecure`), InvalidInput (`key-file-unreadable`)."""
    if place.is_open:
        check_open(place.address)
        return Access(None, None, "everybody on this machine")
    if place.key_file is not None:
        return Access(read_keys(place.key_file), None, str(place.key_file))
    if key := os.environ.pop(VARIABLE, ""):
        return Access(Keys({key: "gateway"}), None, VARIABLE)
    file = data / "api-key"
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    key, is_new = make_key(file)
    return Access(Keys({key: "gateway"}), key if is_new else None, str(file))


@dataclass(frozen=True, slots=True)
class Alone:
    """One run of a host that stands alone. `only`: a bridge's one kernel, started at once; it ends with it.

    `connection`: how to reach it, if it runs already. `announce` is called with the port once it listens, and a
    bridge's kernel.
    """

    settings: HostSettings
    place: Place
    keys: Keys | None
    rules: Rules
    roots: list[Path]
    keep_kernels: bool
    announce: Callable[[int, Hosted | None], None]
    only: Wish | None = None
    connection: Mapping[str, Any] | None = None

    async def serve(self) -> int:
        """Serve until SIGINT or SIGTERM, or until a bridge's kernel has ended. Returns the exit code.

        Raises InvalidInput (`certificate-unusable`), Conflict (`port-taken`).
        """
        certificate = self.place.certificate
        tls = None if certificate is None else certificate.context()
        catalogue = Catalogue(self.roots, self.settings.data / "names.json")
        launcher, authority = self._parts(catalogue)
        host = await Host.open(self.settings, launcher, authority)
        stopped = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, stopped.set)
        try:
            kernel = None
            if self.only is not None:
                kernel = await host.registry.start(authority.owner(), self.only)
                host.services.only = kernel
            port = await self._listen(host, tls)
            self.announce(port, kernel)
            beside = [asyncio.create_task(self._warm_up(launcher, catalogue))]
            if certificate is not None and tls is not None:
                beside.append(asyncio.create_task(certificate.follow(tls)))
            await _first(stopped.wait(), *([] if kernel is None else [kernel.await_end()]))
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
        finally:
            await host.close(end_kernels=not self.keep_kernels)
        return 0

    def _parts(self, catalogue: Catalogue) -> tuple[LocalLauncher | BridgedLauncher, StandaloneAuthority]:
        if self.connection is not None:
            authority = BridgedAuthority(self.connection, self.keys, self.rules, catalogue)
            return BridgedLauncher(self.connection), authority
        launcher = LocalLauncher(self.settings.kernels, self.settings.run / "k", spares=self.settings.spares)
        return launcher, StandaloneAuthority(catalogue, self.keys, self.rules)

    async def _warm_up(self, launcher: LocalLauncher | BridgedLauncher, catalogue: Catalogue) -> None:
        """Have the first kernel of the default kind start as quickly as the others."""
        specs = await asyncio.to_thread(catalogue.specs)
        spec = specs.get(self.rules.force_kernel or self.rules.default_kernel)
        if (
            self.rules.forks
            and isinstance(launcher, LocalLauncher)
            and spec is not None
            and spec.environment is not None
        ):
            await launcher.prepare(spec.environment)

    async def _listen(self, host: Host, tls: ssl.SSLContext | None) -> int:
        try:
            return await host.listen_tcp(self.place.address, self.place.port, tls=tls)
        except OSError as exc:
            raise Conflict(
                "port-taken",
                f"{self.place.address}:{self.place.port} cannot be listened on: {exc.strerror or exc}.",
                hint="Choose another one with --port.",
            ) from exc


async def _first(*waiting: Coroutine[Any, Any, object]) -> None:
    """Return when one of them does; give the others up."""
    tasks = [asyncio.ensure_future(one) for one in waiting]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
