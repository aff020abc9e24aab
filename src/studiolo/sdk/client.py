"""The asynchronous client."""

from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import httpx

from studiolo.contract.kernels import KernelInfo
from studiolo.contract.models import Session
from studiolo.sdk.credentials import find_credentials
from studiolo.sdk.execution import Command, Running, attach
from studiolo.sdk.kernel_channels import KernelAddress, KernelChannels
from studiolo.sdk.resources.account import Account, Keys
from studiolo.sdk.resources.backups import Backups
from studiolo.sdk.resources.datasets import Datasets
from studiolo.sdk.resources.environments import Bases, Environments, Packages
from studiolo.sdk.resources.files import Files
from studiolo.sdk.resources.gpus import GPUs
from studiolo.sdk.resources.images import Images
from studiolo.sdk.resources.kernels import Kernels
from studiolo.sdk.resources.notifications import Notifications
from studiolo.sdk.resources.people import Banners, Invitations, People
from studiolo.sdk.resources.platform import Audit, Platform
from studiolo.sdk.resources.policies import Policies
from studiolo.sdk.resources.requests import Requests
from studiolo.sdk.resources.scans import Scans
from studiolo.sdk.resources.sessions import Sessions
from studiolo.sdk.resources.shares import Shares
from studiolo.sdk.resources.versions import FileTrash, Versions
from studiolo.sdk.resources.workspaces import Workspaces
from studiolo.sdk.transport import Transport, trust


class AsyncStudiolo:
    """A client of one platform, for asynchronous programs.

    `url` and `key` are found as `studiolo.sdk.credentials` describes when left out. `insecure` allows to send a
    key unencrypted to another machine. `http` replaces the network, for tests. Use it as
    `async with AsyncStudiolo() as client`, or call `close`.
    """

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        timeout_seconds: float = 30.0,
        insecure: bool = False,
        http: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        credentials = find_credentials(url, key)
        self._transport = Transport(credentials, timeout_seconds=timeout_seconds, insecure=insecure, http=http)
        self.url = credentials.url
        self.workspaces = Workspaces(self._transport)
        self.sessions = Sessions(self._transport)
        self.kernels = Kernels(self._transport)
        self.files = Files(self._transport)
        self.packages = Packages(self._transport)
        self.environments = Environments(self._transport)
        self.bases = Bases(self._transport)
        self.images = Images(self._transport)
        self.shares = Shares(self._transport)
        self.versions = Versions(self._transport)
        self.file_trash = FileTrash(self._transport)
        self.me = Account(self._transport)
        self.keys = Keys(self._transport)
        self.people = People(self._transport)
        self.invitations = Invitations(self._transport)
        self.banners = Banners(self._transport)
        self.requests = Requests(self._transport)
        self.notifications = Notifications(self._transport)
        self.audit = Audit(self._transport)
        self.platform = Platform(self._transport)
        self.backups = Backups(self._transport)
        self.datasets = Datasets(self._transport)
        self.gpus = GPUs(self._transport)
        self.policies = Policies(self._transport)
        self.scans = Scans(self._transport)

    def attach(self, session: Session, command: Command) -> AbstractAsyncContextManager[Running]:
        """Run a command in a running session with its input and output as they come; it ends with the context.

        For whole commands `sessions.execute` is simpler. Raises Conflict (`session-not-running`), NotFound
        (`command-failed`), Unavailable (`session-unreachable`).
        """
        return attach(self._transport, session, command)

    def connect(self, kernel: KernelInfo, *, after: int | None = None) -> KernelChannels:
        """Return the channels of a kernel, to send to it and to receive from it; use them as `async with`.

        `after`: what its journal holds after this number comes first; None: what comes from now on.
        """
        credentials = self._transport.credentials
        # The path alone is taken over: the key goes to no other address than its own.
        root = credentials.url + urlsplit(kernel.api_url).path
        return KernelChannels(KernelAddress(root, kernel.id, credentials.key, trust(credentials)), after=after)

    async def close(self) -> None:
        """Close the connections; the client cannot be used afterwards."""
        await self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
