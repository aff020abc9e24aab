"""The blocking client: the asynchronous one, run on an event loop in a thread of its own.

A loop of its own, and not `asyncio.run` per call: it works where a loop runs already, as in a notebook, and it
keeps connections open between calls. anyio's portal is that thread; it comes with httpx.
"""

import functools
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar

import httpx
from anyio import Lock
from anyio.from_thread import BlockingPortal, start_blocking_portal

from studiolo.contract.models import Page
from studiolo.sdk.client import AsyncStudiolo
from studiolo.sdk.listing import Listing
from studiolo.sdk.resources import (
    account,
    backups,
    datasets,
    environments,
    files,
    gpus,
    kernels,
    notifications,
    people,
    platform,
    policies,
    requests,
    scans,
    sessions,
    shares,
    versions,
    workspaces,
)

P = ParamSpec("P")
T = TypeVar("T")
Resource = TypeVar("Resource")


class Blocking(Generic[Resource]):
    """Base of the blocking resources: one asynchronous resource and the thread that runs it."""

    def __init__(self, resource: Resource, portal: BlockingPortal) -> None:
        self._resource = resource
        self._portal = portal

    def _run(self, function: Callable[[], Coroutine[Any, Any, T]]) -> T:
        future: Future[T] = self._portal.start_task_soon(function)
        try:
            return future.result()
        except BaseException:
            # Ctrl-C ends the wait here; without this the request would go on and hold up `close`.
            future.cancel()
            raise


def _blocking(
    method: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[Any, P], T]:
    """Make the blocking form of an asynchronous method."""

    @functools.wraps(method)
    def call(self: Blocking[Any], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._run(functools.partial(method, self._resource, *args, **kwargs))

    return call


def _paged(
    method: Callable[Concatenate[Any, P], Listing[T]],
) -> Callable[Concatenate[Any, P], Iterator[T]]:
    """Make the blocking form of a method that returns a listing: an iterator of its items."""

    @functools.wraps(method)
    def call(self: Blocking[Any], /, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        pages = method(self._resource, *args, **kwargs).pages()

        async def next_page() -> Page[T] | None:
            return await anext(pages, None)

        while (page := self._run(next_page)) is not None:
            yield from page.items

    return call


def _streamed(
    method: Callable[Concatenate[Any, P], AsyncIterator[T]],
) -> Callable[Concatenate[Any, P], Iterator[T]]:
    """Make the blocking form of a method that yields what comes in."""

    @functools.wraps(method)
    def call(self: Blocking[Any], /, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        stream = method(self._resource, *args, **kwargs)
        # After Ctrl-C the wait for an item is still being cancelled when the stream is closed.
        turn = Lock()

        async def next_item() -> list[T]:
            async with turn:
                async for item in stream:
                    return [item]
                return []

        async def close() -> None:
            async with turn:
                if isinstance(stream, AsyncGenerator):
                    await stream.aclose()

        try:
            while item := self._run(next_item):
                yield item[0]
        finally:
            self._run(close)

    return call


class Workspaces(Blocking[workspaces.Workspaces]):
    """Create, find, change and delete workspaces. A workspace is named by id, `owner/name` or name."""

    list = _paged(workspaces.Workspaces.list)
    create = _blocking(workspaces.Workspaces.create)
    get = _blocking(workspaces.Workspaces.get)
    update = _blocking(workspaces.Workspaces.update)
    delete = _blocking(workspaces.Workspaces.delete)
    limits = _blocking(workspaces.Workspaces.limits)
    scale = _blocking(workspaces.Workspaces.scale)
    config = _blocking(workspaces.Workspaces.config)
    set_config = _blocking(workspaces.Workspaces.set_config)
    metadata = _blocking(workspaces.Workspaces.metadata)
    export = _blocking(workspaces.Workspaces.export)
    export_file = _blocking(workspaces.Workspaces.export_file)
    export_archive = _blocking(workspaces.Workspaces.export_archive)
    import_archive = _blocking(workspaces.Workspaces.import_archive)
    clone = _blocking(workspaces.Workspaces.clone)
    clone_progress = _blocking(workspaces.Workspaces.clone_progress)
    wait_for_clone = _blocking(workspaces.Workspaces.wait_for_clone)
    cancel_clone = _blocking(workspaces.Workspaces.cancel_clone)
    move = _blocking(workspaces.Workspaces.move)
    move_progress = _blocking(workspaces.Workspaces.move_progress)
    wait_for_move = _blocking(workspaces.Workspaces.wait_for_move)
    cancel_move = _blocking(workspaces.Workspaces.cancel_move)
    confirm_move = _blocking(workspaces.Workspaces.confirm_move)
    stats = _blocking(workspaces.Workspaces.stats)
    usage = _blocking(workspaces.Workspaces.usage)
    report = _blocking(workspaces.Workspaces.report)
    duplicate = _blocking(workspaces.Workspaces.duplicate)
    transfer = _blocking(workspaces.Workspaces.transfer)
    reset = _blocking(workspaces.Workspaces.reset)
    clear_cache = _blocking(workspaces.Workspaces.clear_cache)
    trash = _paged(workspaces.Workspaces.trash)
    restore = _blocking(workspaces.Workspaces.restore)
    erase = _blocking(workspaces.Workspaces.erase)
    members = _blocking(workspaces.Workspaces.members)
    set_member = _blocking(workspaces.Workspaces.set_member)
    remove_member = _blocking(workspaces.Workspaces.remove_member)
    leave = _blocking(workspaces.Workspaces.leave)


class Sessions(Blocking[sessions.Sessions]):
    """Launch, find, stop and restart sessions. A session is named by id, `workspace/name` or a unique name."""

    list = _paged(sessions.Sessions.list)
    launch = _blocking(sessions.Sessions.launch)
    get = _blocking(sessions.Sessions.get)
    start = _blocking(sessions.Sessions.start)
    stop = _blocking(sessions.Sessions.stop)
    restart = _blocking(sessions.Sessions.restart)
    wait = _blocking(sessions.Sessions.wait)
    delete = _blocking(sessions.Sessions.delete)
    log = _blocking(sessions.Sessions.log)
    usage = _blocking(sessions.Sessions.usage)
    snooze = _blocking(sessions.Sessions.snooze)
    progress = _streamed(sessions.Sessions.progress)
    follow_log = _streamed(sessions.Sessions.follow_log)
    execute = _blocking(sessions.Sessions.execute)


class Kernels(Blocking[kernels.Kernels]):
    """List, start, interrupt, restart and stop kernels, and read what they put out. A kernel is named by its id."""

    list = _paged(kernels.Kernels.list)
    start = _blocking(kernels.Kernels.start)
    get = _blocking(kernels.Kernels.get)
    stop = _blocking(kernels.Kernels.stop)
    interrupt = _blocking(kernels.Kernels.interrupt)
    restart = _blocking(kernels.Kernels.restart)
    log = _blocking(kernels.Kernels.log)
    output = _blocking(kernels.Kernels.output)
    follow_output = _streamed(kernels.Kernels.follow_output)
    specs = _blocking(kernels.Kernels.specs)


class Files(Blocking[files.Files]):
    """Files of workspaces, without a session. A path is relative to the workspace's folder."""

    list = _paged(files.Files.list)
    info = _blocking(files.Files.info)
    search = _blocking(files.Files.search)
    mkdir = _blocking(files.Files.mkdir)
    move = _blocking(files.Files.move)
    copy = _blocking(files.Files.copy)
    delete = _blocking(files.Files.delete)
    upload = _blocking(files.Files.upload)
    download = _blocking(files.Files.download)
    read = _blocking(files.Files.read)


class Shares(Blocking[shares.Shares]):
    """Share notebooks and files with those who are members of a workspace."""

    list = _paged(shares.Shares.list)
    create = _blocking(shares.Shares.create)
    delete = _blocking(shares.Shares.delete)


class Versions(Blocking[versions.Versions]):
    """Earlier versions of files. `path` is relative to the workspace's folder."""

    list = _paged(versions.Versions.list)
    download = _blocking(versions.Versions.download)
    compare = _blocking(versions.Versions.compare)
    restore = _blocking(versions.Versions.restore)


class FileTrash(Blocking[versions.FileTrash]):
    """Files and folders that were deleted from workspaces."""

    list = _paged(versions.FileTrash.list)
    restore = _blocking(versions.FileTrash.restore)
    erase = _blocking(versions.FileTrash.erase)


class Account(Blocking[account.Account]):
    """The person whose key the client uses."""

    get = _blocking(account.Account.get)
    change_password = _blocking(account.Account.change_password)
    logins = _blocking(account.Account.logins)
    sign_out_everywhere = _blocking(account.Account.sign_out_everywhere)


class Keys(Blocking[account.Keys]):
    """API keys of the signed-in person."""

    list = _blocking(account.Keys.list)
    create = _blocking(account.Keys.create)
    revoke = _blocking(account.Keys.revoke)


class People(Blocking[people.People]):
    """The people of a platform; for administrators."""

    list = _paged(people.People.list)
    create = _blocking(people.People.create)
    sign_in_link = _blocking(people.People.sign_in_link)
    access = _blocking(people.People.access)
    set_admin = _blocking(people.People.set_admin)
    suspend = _blocking(people.People.suspend)
    reinstate = _blocking(people.People.reinstate)
    hand_over = _blocking(people.People.hand_over)
    erase = _blocking(people.People.erase)


class Invitations(Blocking[people.Invitations]):
    """One-time links by which people join; for administrators."""

    list = _paged(people.Invitations.list)
    create = _blocking(people.Invitations.create)
    renew = _blocking(people.Invitations.renew)
    withdraw = _blocking(people.Invitations.withdraw)
    accept = _blocking(people.Invitations.accept)


class Banners(Blocking[people.Banners]):
    """What administrators tell everybody, on every page."""

    get = _blocking(people.Banners.get)
    post = _blocking(people.Banners.post)
    withdraw = _blocking(people.Banners.withdraw)


class Requests(Blocking[requests.Requests]):
    """Requests for packages that a workspace's policy does not allow."""

    create = _blocking(requests.Requests.create)
    list = _paged(requests.Requests.list)
    get = _blocking(requests.Requests.get)
    withdraw = _blocking(requests.Requests.withdraw)
    approve = _blocking(requests.Requests.approve)
    deny = _blocking(requests.Requests.deny)
    install_again = _blocking(requests.Requests.install_again)


class Notifications(Blocking[notifications.Notifications]):
    """What the person whose key the client uses was told."""

    list = _paged(notifications.Notifications.list)
    read = _blocking(notifications.Notifications.read)


class Audit(Blocking[platform.Audit]):
    """The record of changes; for administrators."""

    list = _paged(platform.Audit.list)


class Platform(Blocking[platform.Platform]):
    """What anybody may ask of a platform."""

    get = _blocking(platform.Platform.get)
    health = _blocking(platform.Platform.health)
    disk = _blocking(platform.Platform.disk)
    free = _blocking(platform.Platform.free)
    sign_in = _blocking(platform.Platform.sign_in)
    begin_device_sign_in = _blocking(platform.Platform.begin_device_sign_in)
    finish_device_sign_in = _blocking(platform.Platform.finish_device_sign_in)
    sign_in_device = _blocking(platform.Platform.sign_in_device)
    profiles = _blocking(platform.Platform.profiles)
    engines = _blocking(platform.Platform.engines)
    inspect = _blocking(platform.Platform.inspect)


class Backups(Blocking[backups.Backups]):
    """Backups on the platform's machine; for administrators."""

    list = _blocking(backups.Backups.list)
    start = _blocking(backups.Backups.start)
    cancel = _blocking(backups.Backups.cancel)
    wait = _blocking(backups.Backups.wait)


class Datasets(Blocking[datasets.Datasets]):
    """Folders of the platform's machine that sessions may read."""

    list = _paged(datasets.Datasets.list)
    create = _blocking(datasets.Datasets.create)
    update = _blocking(datasets.Datasets.update)
    delete = _blocking(datasets.Datasets.delete)


class GPUs(Blocking[gpus.GPUs]):
    """See GPUs and who has them, and be told when some are free."""

    get = _blocking(gpus.GPUs.get)
    notify = _blocking(gpus.GPUs.notify)
    withdraw = _blocking(gpus.GPUs.withdraw)


class Policies(Blocking[policies.Policies]):
    """See, set and try package policies."""

    get = _blocking(policies.Policies.get)
    set = _blocking(policies.Policies.set)
    history = _paged(policies.Policies.history)
    what_if = _blocking(policies.Policies.what_if)
    check = _blocking(policies.Policies.check)
    refused_of_base = _blocking(policies.Policies.refused_of_base)
    revoke = _blocking(policies.Policies.revoke)


class Scans(Blocking[scans.Scans]):
    """Scan workspaces, read reports, accept findings."""

    start = _blocking(scans.Scans.start)
    progress = _blocking(scans.Scans.progress)
    wait = _blocking(scans.Scans.wait)
    cancel = _blocking(scans.Scans.cancel)
    list = _paged(scans.Scans.list)
    get = _blocking(scans.Scans.get)
    file = _blocking(scans.Scans.file)
    accept = _blocking(scans.Scans.accept)
    reopen = _blocking(scans.Scans.reopen)
    accepted = _blocking(scans.Scans.accepted)


class Packages(Blocking[environments.Packages]):
    """Packages of a workspace's environment."""

    list = _blocking(environments.Packages.list)
    install = _blocking(environments.Packages.install)
    remove = _blocking(environments.Packages.remove)
    check = _blocking(environments.Packages.check)
    search_conda = _blocking(environments.Packages.search_conda)


class Bases(Blocking[environments.Bases]):
    """What environments begin from."""

    list = _blocking(environments.Bases.list)
    add = _blocking(environments.Bases.add)
    choose = _blocking(environments.Bases.choose)
    remove = _blocking(environments.Bases.remove)


class Environments(Blocking[environments.Environments]):
    """Environments of workspaces and their builds."""

    get = _blocking(environments.Environments.get)
    builds = _paged(environments.Environments.builds)
    build = _blocking(environments.Environments.build)
    wait = _blocking(environments.Environments.wait)
    progress = _streamed(environments.Environments.progress)
    cancel = _blocking(environments.Environments.cancel)
    rollback = _blocking(environments.Environments.rollback)
    undo = _blocking(environments.Environments.undo)
    rebuild = _blocking(environments.Environments.rebuild)
    restore = _blocking(environments.Environments.restore)
    restore_notebook = _blocking(environments.Environments.restore_notebook)
    stamp_notebook = _blocking(environments.Environments.stamp_notebook)
    difference = _blocking(environments.Environments.difference)
    lock = _blocking(environments.Environments.lock)
    sbom = _blocking(environments.Environments.sbom)


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
        self.workspaces = Workspaces(client.workspaces, portal)
        self.sessions = Sessions(client.sessions, portal)
        self.kernels = Kernels(client.kernels, portal)
        self.files = Files(client.files, portal)
        self.packages = Packages(client.packages, portal)
        self.environments = Environments(client.environments, portal)
        self.bases = Bases(client.bases, portal)
        self.shares = Shares(client.shares, portal)
        self.versions = Versions(client.versions, portal)
        self.file_trash = FileTrash(client.file_trash, portal)
        self.me = Account(client.me, portal)
        self.keys = Keys(client.keys, portal)
        self.people = People(client.people, portal)
        self.invitations = Invitations(client.invitations, portal)
        self.banners = Banners(client.banners, portal)
        self.requests = Requests(client.requests, portal)
        self.notifications = Notifications(client.notifications, portal)
        self.audit = Audit(client.audit, portal)
        self.platform = Platform(client.platform, portal)
        self.backups = Backups(client.backups, portal)
        self.datasets = Datasets(client.datasets, portal)
        self.gpus = GPUs(client.gpus, portal)
        self.policies = Policies(client.policies, portal)
        self.scans = Scans(client.scans, portal)

    def close(self) -> None:
        """Close the connections and end the thread; closing twice is fine."""
        self._open.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
