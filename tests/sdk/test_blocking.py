"""The blocking client's thread, and what Ctrl-C does to it."""

import signal
from collections.abc import AsyncIterator
from types import FrameType

import anyio
import pytest
from anyio.from_thread import start_blocking_portal

from studiolo.sdk.portal import Blocking, streamed


class Source:
    def __init__(self) -> None:
        self.is_closed = False

    async def items(self) -> AsyncIterator[int]:
        try:
            yield 1
            await anyio.sleep_forever()
        finally:
            # What a connection takes to close.
            with anyio.CancelScope(shield=True):
                await anyio.lowlevel.checkpoint()
            self.is_closed = True


class BlockingSource(Blocking[Source]):
    items = streamed(Source.items)


def test_a_stream_that_is_interrupted_while_it_waits_is_closed() -> None:
    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with start_blocking_portal() as portal:
            source = Source()
            items = BlockingSource(source, portal).items()
            assert next(items) == 1
            signal.setitimer(signal.ITIMER_REAL, 0.1)
            with pytest.raises(KeyboardInterrupt):
                next(items)
            assert source.is_closed
    finally:
        signal.signal(signal.SIGALRM, before)
