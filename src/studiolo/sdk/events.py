"""Read server-sent events. Source: HTML standard, section 9.2.6 (no `id`, no `retry`: our streams have none)."""

from collections.abc import AsyncIterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a stream. `data`: its lines joined by newlines."""

    name: str
    data: str


async def read_events(chunks: AsyncIterator[bytes]) -> AsyncIterator[Event]:
    """Yield the events of a stream; comments are left out, and so is an event that the end cuts off."""
    name, data = "message", list[str]()
    async for line in _lines(chunks):
        if not line:
            if data:
                yield Event(name, "\n".join(data))
            name, data = "message", []
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            name = value
        elif field == "data":
            data.append(value)


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[str]:
    """Split at line feeds alone: a log may hold every other sign that Python takes for the end of a line."""
    rest = b""
    async for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line.removesuffix(b"\r").decode(errors="replace")
