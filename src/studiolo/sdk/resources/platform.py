"""The platform itself: what it is, its record of changes."""

from builtins import list as list_of
from collections.abc import Callable

import anyio

from studiolo.contract.details import AdminHealth, DeviceCode, DevicePoll, DeviceStart
from studiolo.contract.disk import DiskUsage, FreedSpace, FreeSpace
from studiolo.contract.errors import Conflict, LimitReached
from studiolo.contract.models import (
    AuditEvent,
    Health,
    KeyCreated,
    Page,
    PlatformInfo,
    SignIn,
)
from studiolo.contract.resources import EngineInfo, Profiles
from studiolo.sdk.forms import fill
from studiolo.sdk.listing import Listing
from studiolo.sdk.transport import Transport, segment


class Platform:
    """What anybody may ask of a platform."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def get(self) -> PlatformInfo:
        """Return version, address and isolation."""
        return await self._transport.fetch(PlatformInfo, "GET", "/platform")

    async def health(self) -> Health:
        """Return if the platform answers. Raises Unavailable (`control-plane-unreachable`) if not."""
        return await self._transport.fetch(Health, "GET", "/health")

    async def sign_in(self, name: str, password: str, *, key_name: str = "command line") -> KeyCreated:
        """Return a new key for a person. The client itself goes on without it.

        Raises NotSignedIn (`credentials-wrong`), LimitReached (`too-many-attempts`).
        """
        body = SignIn(name=name, password=password, key_name=key_name)
        return await self._transport.fetch(KeyCreated, "POST", "/sign-in", body=body)

    async def begin_device_sign_in(self, *, key_name: str = "command line") -> DeviceCode:
        """Begin to sign in without a browser: show `user_code` and `verification_uri` to the person."""
        body = fill(DeviceStart, key_name=key_name)
        return await self._transport.fetch(DeviceCode, "POST", "/sign-in/device", body=body)

    async def finish_device_sign_in(self, device_code: str) -> KeyCreated:
        """Return the key of an approved sign-in, once.

        Raises Conflict (`device-code-pending`) before that, NotFound (`device-code-expired`).
        """
        body = fill(DevicePoll, device_code=device_code)
        return await self._transport.fetch(KeyCreated, "POST", "/sign-in/device/token", body=body)

    async def sign_in_device(self, show: Callable[[DeviceCode], None], *, key_name: str = "command line") -> KeyCreated:
        """Sign in without a browser: call `show` with the code, wait until somebody has approved it elsewhere.

        Returns a new key; the client itself goes on without it. Raises NotFound (`device-code-expired`).
        """
        begun = await self.begin_device_sign_in(key_name=key_name)
        show(begun)
        while True:
            await anyio.sleep(begun.interval)
            try:
                return await self.finish_device_sign_in(begun.device_code)
            except (Conflict, LimitReached) as error:
                if error.code not in ("device-code-pending", "too-many-attempts"):
                    raise

    async def profiles(self) -> Profiles:
        """Return the sizes that sessions can be launched with."""
        return await self._transport.fetch(Profiles, "GET", "/profiles")

    async def engines(self) -> list_of[EngineInfo]:
        """Return where sessions can run, what is free there, and how limits are enforced."""
        return await self._transport.fetch(list_of[EngineInfo], "GET", "/engines")

    async def disk(self) -> DiskUsage:
        """Return what fills the platform's disk; for administrators."""
        return await self._transport.fetch(DiskUsage, "GET", "/admin/disk")

    async def free(self, *what: str) -> FreedSpace:
        """Release space: what can be made or loaded again, or what is named; for administrators."""
        body = fill(FreeSpace, what=list_of(what)) if what else FreeSpace()
        return await self._transport.fetch(FreedSpace, "POST", "/admin/disk/free", body=body)

    async def inspect(self) -> AdminHealth:
        """Return whether all is well, and the one thing to do if not; for administrators."""
        return await self._transport.fetch(AdminHealth, "GET", "/admin/health")


class Audit:
    """The record of changes: of a workspace for its members, of the platform for administrators."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, workspace: str | None = None, *, page_size: int | None = None) -> Listing[AuditEvent]:
        """Return the events, newest first: of a workspace, or of the whole platform."""
        path = "/audit" if workspace is None else f"/jupyter/workspaces/{segment(workspace, what='workspace')}/activity"

        async def fetch(cursor: str | None) -> Page[AuditEvent]:
            asked = {"limit": page_size, "cursor": cursor}
            return await self._transport.fetch(Page[AuditEvent], "GET", path, query=asked)

        return Listing(fetch)
