"""A kernel's channels in a thread of their own, for a program that waits for its person."""

from collections.abc import Callable
from concurrent.futures import Future
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

from anyio.from_thread import BlockingPortal, start_blocking_portal

from studiolo.contract.kernels import KernelInfo
from studiolo.sdk import AsyncStudiolo
from studiolo.sdk.kernel_channels import KernelChannels
from studiolo.sdk.kernel_messages import KernelMessage, request


class KernelLink:
    """Connects when entered. Its thread calls `heard` with each message, and `lost` with what ends it."""

    def __init__(
        self,
        client: AsyncStudiolo,
        kernel: KernelInfo,
        *,
        heard: Callable[[KernelMessage], None],
        lost: Callable[[BaseException], None],
        username: str = "",
        after: int | None = None,
    ) -> None:
        self._client = client
        self._kernel = kernel
        self._heard = heard
        self._lost = lost
        self._username = username
        self._after = after
        self._open = ExitStack()
        self._channels: KernelChannels | None = None
        self._portal: BlockingPortal | None = None

    def __enter__(self) -> Self:
        with ExitStack() as opened:
            portal = self._portal = opened.enter_context(start_blocking_portal())
            opened.callback(portal.call, self._client.close)
            self._channels = portal.call(self._connect)
            opened.callback(portal.call, self._channels.close)
            reading: Future[None] = portal.start_task_soon(self._read, self._channels)
            opened.callback(reading.cancel)
            self._open = opened.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    @property
    def session(self) -> str:
        """The id of this client, as it stands in the headers of its messages."""
        assert self._channels is not None
        return self._channels.session

    def send(self, channel: str, kind: str, content: dict[str, Any], **given: Any) -> str:
        """Send a message and return its id. `given`: as of `kernel_messages.request`."""
        assert self._channels is not None
        assert self._portal is not None
        message = request(channel, kind, content, session=self.session, username=self._username, **given)
        self._portal.start_task_soon(self._channels.send, message)
        return message.id

    async def _connect(self) -> KernelChannels:
        return await self._client.connect(self._kernel, after=self._after).__aenter__()

    async def _read(self, channels: KernelChannels) -> None:
        try:
            async for message in channels:
                self._heard(message)
        except Exception as error:
            self._lost(error)
