"""Lists that the server hands out in pages."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Generic, TypeVar

from studiolo.contract.models import Page

Item = TypeVar("Item")


class Listing(Generic[Item]):
    """The items of a list, fetched page by page while one iterates; nothing is asked before."""

    def __init__(self, fetch: Callable[[str | None], Awaitable[Page[Item]]]) -> None:
        """`fetch` returns the page that a cursor stands for, None for the first."""
        self._fetch = fetch

    async def __aiter__(self) -> AsyncIterator[Item]:
        async for page in self.pages():
            for item in page.items:
                yield item

    async def pages(self) -> AsyncIterator[Page[Item]]:
        """Yield the pages as the server hands them out."""
        cursor: str | None = None
        while True:
            page = await self._fetch(cursor)
            yield page
            cursor = page.next_cursor
            if cursor is None:
                return
