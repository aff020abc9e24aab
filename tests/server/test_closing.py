"""What ends by itself is cut off inside sessions too, open sockets included."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from server.conftest import People
from studiolo.contract.models import KeyCreate
from studiolo.kit.clock import ManualClock
from studiolo.server.accounts.tables import people as people_table
from studiolo.server.services import Services
from studiolo.server.sessions.tables import sessions


@pytest.fixture
async def told(people: People, services: Services, tmp_path: Path) -> Any:
    """A key of mia, who has a running session; and what that session is told, a line for each request's body."""
    who = await people.add("mia")
    made = await services.keys.create_key(who, KeyCreate(name="short", expires_in_days=1))
    async with people.anonymous({"Authorization": f"Bearer {made.key}"}) as client:
        await client.post("/api/v1/jupyter/workspaces", json={"name": "churn"})
        await client.post("/api/v1/jupyter/sessions", json={"workspace": "churn"}, params={"wait": 5})
    bodies: asyncio.Queue[str] = asyncio.Queue()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        size = int(head.partition("content-length: ")[2].partition("\r\n")[0])
        bodies.put_nowait((await reader.readexactly(size)).decode())
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    path = tmp_path / "session.sock"
    async with await asyncio.start_unix_server(answer, path):
        async with services.db.write() as tx:
            await tx.connection.execute(update(sessions).values(upstream=f"unix/{path}"))
        yield made.id, bodies


async def test_a_key_that_expires_is_cut_off(told: Any, services: Services, clock: ManualClock) -> None:
    key, bodies = told
    await services.socket_closer.look()
    clock.advance(timedelta(hours=25))
    await services.socket_closer.look()
    assert key in await asyncio.wait_for(bodies.get(), 5)


async def test_a_person_disabled_by_another_process_is_cut_off(
    told: Any, services: Services, clock: ManualClock
) -> None:
    key, bodies = told
    await services.socket_closer.look()
    clock.advance(timedelta(seconds=3))
    async with services.db.write() as tx:
        await tx.connection.execute(update(people_table).values(disabled_at=clock.now()))
    await services.socket_closer.look()
    assert key in await asyncio.wait_for(bodies.get(), 5)


async def test_who_is_still_let_in_is_left_alone(told: Any, services: Services, clock: ManualClock) -> None:
    _, bodies = told
    for _ in range(3):
        clock.advance(timedelta(seconds=3))
        await services.socket_closer.look()
    await services.socket_closer.drain()
    assert bodies.empty()
