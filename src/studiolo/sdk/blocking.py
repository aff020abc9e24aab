"""The blocking client: the asynchronous one, run in a thread of its own (see portal)."""

from contextlib import ExitStack
from types import TracebackType
from typing import Self

import httpx
from anyio.from_thread import start_blocking_portal

from studiolo.sdk import blocking_resources as resources
from studiolo.sdk.client import AsyncStudiolo


class Studiolo:
    """A client of one platform, for scripts and notebooks. Arguments and methods are those of `AsyncStudiolo`.

    Use it as `with Studiolo() as client`, or call `close`: until then a thread waits for the next call.
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
        client = AsyncStudiolo(url, key, timeout_seconds=timeout_seconds, insecure=insecure, http=http)
        self._open = ExitStack()
        portal = self._open.enter_context(start_blocking_portal())
        self._open.callback(portal.call, client.close)
        self.url = client.url
        self.workspaces = resources.Workspaces(client.workspaces, portal)
        self.sessions = resources.Sessions(client.sessions, portal)
        self.kernels = resources.Kernels(client.kernels, portal)
        self.files = resources.Files(client.files, portal)
        self.packages = resources.Packages(client.packages, portal)
        self.environments = resources.Environments(client.environments, portal)
        self.bases = resources.Bases(client.bases, portal)
        self.images = resources.Images(client.images, portal)
        self.shares = resources.Shares(client.shares, portal)
        self.versions = resources.Versions(client.versions, portal)
        self.file_trash = resources.FileTrash(client.file_trash, portal)
        self.me = resources.Account(client.me, portal)
        self.keys = resources.Keys(client.keys, portal)
        self.people = resources.People(client.people, portal)
        self.invitations = resources.Invitations(client.invitations, portal)
        self.banners = resources.Banners(client.banners, portal)
        self.requests = resources.Requests(client.requests, portal)
        self.notifications = resources.Notifications(client.notifications, portal)
        self.audit = resources.Audit(client.audit, portal)
        self.platform = resources.Platform(client.platform, portal)
        self.backups = resources.Backups(client.backups, portal)
        self.datasets = resources.Datasets(client.datasets, portal)
        self.gpus = resources.GPUs(client.gpus, portal)
        self.policies = resources.Policies(client.policies, portal)
        self.scans = resources.Scans(client.scans, portal)

    def close(self) -> None:
        """Close the connections and end the thread; closing twice is fine."""
        self._open.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
