"""Reads that are repeated from memory are never stale, and never somebody else's."""

import asyncio
import sqlite3
import tracemalloc
from typing import Any

import httpx

from studiolo.server.http.answers import KnownAnswers
from studiolo.server.services import Services

W = "/api/v1/jupyter/workspaces"


async def test_a_change_shows_in_the_very_next_read(ana: httpx.AsyncClient) -> None:
    await ana.post(W, json={"name": "churn"})
    for number in range(20):
        text = f"version {number}"
        await ana.patch(f"{W}/churn", json={"description": text})
        for _ in range(2):
            assert (await ana.get(f"{W}/churn")).json()["description"] == text
            assert (await ana.get(W)).json()["items"][0]["description"] == text


async def test_a_change_by_another_process_shows_at_once(ana: httpx.AsyncClient, services: Services) -> None:
    await ana.post(W, json={"name": "churn"})
    await ana.get(f"{W}/churn")
    with sqlite3.connect(services.settings.data_dir / "studiolo.db") as database:
        database.execute("UPDATE workspaces SET description = 'by hand'")
    assert (await ana.get(f"{W}/churn")).json()["description"] == "by hand"


async def test_people_and_keys_get_their_own_answers(ana: httpx.AsyncClient, leo: httpx.AsyncClient) -> None:
    await ana.post(W, json={"name": "churn"})
    assert (await ana.get(f"{W}/ana~churn")).json()["role"] == "owner"
    assert (await leo.get(f"{W}/ana~churn")).status_code == 404
    await ana.put(f"{W}/churn/members", json={"person": "leo", "role": "viewer"})
    assert (await leo.get(f"{W}/ana~churn")).json()["role"] == "viewer"
    await ana.delete(f"{W}/churn/members/leo")
    assert (await leo.get(f"{W}/ana~churn")).status_code == 404
    narrow = (await ana.post("/api/v1/me/keys", json={"name": "n", "scopes": ["account:read"]})).json()["key"]
    assert (await ana.get(W)).status_code == 200
    assert (await ana.get(W, headers={"Authorization": f"Bearer {narrow}"})).json()["code"] == "scope-missing"


async def test_reads_amid_writes_are_whole(ana: httpx.AsyncClient) -> None:
    await ana.post(W, json={"name": "churn"})

    async def write() -> None:
        for number in range(10):
            await ana.patch(f"{W}/churn", json={"description": str(number)})

    async def read() -> list[int]:
        replies = [await ana.get(f"{W}/churn") for _ in range(30)]
        return [int(reply.json()["description"] or -1) for reply in replies]

    _, *seen = await asyncio.gather(write(), *(read() for _ in range(4)))
    assert all(one == sorted(one) for one in seen)
    assert (await ana.get(f"{W}/churn")).json()["description"] == "9"


async def test_a_repeated_answer_has_every_header_of_the_first(ana: httpx.AsyncClient) -> None:
    await ana.post(W, json={"name": "churn"})
    first, again = await ana.get(f"{W}/churn"), await ana.get(f"{W}/churn")
    different = {"x-request-id"}
    assert {k: v for k, v in first.headers.items() if k not in different} == {
        k: v for k, v in again.headers.items() if k not in different
    }
    assert first.headers["x-request-id"] != again.headers["x-request-id"]


async def test_nobody_fills_the_memory_with_answers(ana: httpx.AsyncClient, services: Services) -> None:
    async def answer(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": bytes(200_000)})

    known = KnownAnswers(answer, services.db, services.identity)
    tracemalloc.start()
    try:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(known), headers=ana.headers) as client:  # type: ignore[arg-type]
            for number in range(300):
                # Each of them is an answer of its own.
                await client.get(f"{ana.base_url}{W}", params={"pad": number})
        held_bytes = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert held_bytes < 32 * 1024 * 1024
