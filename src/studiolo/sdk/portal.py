"""Asynchronous methods in blocking form, run on an event loop in a thread of its own.

A loop of its own, and not `asyncio.run` per call: it works where a loop runs already, as in a notebook, and it
keeps connections open between calls. anyio's portal is that thread; it comes with httpx.
"""

import functools
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import Future
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

from anyio import Lock
from anyio.from_thread import BlockingPortal

from studiolo.contract.models import Page
from studiolo.sdk.listing import Listing

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


def blocking(
    method: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[Any, P], T]:
    """Make the blocking form of an asynchronous method."""

    @functools.wraps(method)
    def call(self: Blocking[Any], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._run(functools.partial(method, self._resource, *args, **kwargs))

    return call


def paged(
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


def streamed(
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
