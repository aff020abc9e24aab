"""The same request twice with one Idempotency-Key has one effect."""

import asyncio
import contextlib
import sqlite3
from datetime import timedelta
from typing import Any

import httpx
import pytest

from studiolo.kit.clock import ManualClock
from studiolo.server.app import create_app
from studiolo.server.services import Services, build
from studiolo.testing.fake_engine import FakeEngine

W = "/api/v1/jupyter/workspaces"
S = "/api/v1/jupyter/sessions"


def key(value: str) -> dict[str, str]:
    return {"Idempotency-Key": value}


async def test_a_repeated_creation_answers_the_same_and_makes_one(ana: httpx.AsyncClient) -> None:
    first = await ana.post(W, json={"name": "churn"}, headers=key("a"))
    again = await ana.post(W, json={"name": "churn"}, headers=key("a"))
    assert first.status_code == again.status_code == 201
    assert first.content == again.content
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers["content-type"] == first.headers["content-type"]


async def test_twenty_at_once_launch_one_session(ana: httpx.AsyncClient) -> None:
    await ana.post(W, json={"name": "churn"})
    replies = await asyncio.gather(*(ana.post(S, json={"workspace": "churn"}, headers=key("b")) for _ in range(20)))
    statuses = {reply.status_code for reply in replies}
    assert 201 in statuses
    assert statuses <= {201, 409}
    assert {r.json()["code"] for r in replies if r.status_code == 409} <= {"request-in-progress"}
    assert len((await ana.get(S)).json()["items"]) == 1


async def test_a_refusal_is_repeated_too(ana: httpx.AsyncClient) -> None:
    refused = await ana.post(W, json={"name": "../x"}, headers=key("c"))
    again = await ana.post(W, json={"name": "../x"}, headers=key("c"))
    assert refused.status_code == again.status_code == 422
    assert again.json()["code"] == "name-invalid"


async def test_another_request_under_the_same_key_is_refused(ana: httpx.AsyncClient) -> None:
    await ana.post(W, json={"name": "one"}, headers=key("d"))
    for reply in (
        await ana.post(W, json={"name": "two"}, headers=key("d")),
        await ana.patch(f"{W}/one", json={"name": "two"}, headers=key("d")),
    ):
        assert reply.status_code == 422
        assert reply.json()["code"] == "idempotency-key-invalid"


@pytest.mark.parametrize("value", ["", " ", "x" * 256, "tab\there", "é"])
async def test_a_key_that_is_no_good_is_refused(ana: httpx.AsyncClient, value: str) -> None:
    headers = httpx.Headers([(b"idempotency-key", value.encode("latin-1"))])
    reply = await ana.post(W, json={"name": "churn"}, headers=headers)
    assert reply.json()["code"] == "idempotency-key-invalid"


async def test_people_do_not_share_keys(ana: httpx.AsyncClient, leo: httpx.AsyncClient) -> None:
    assert (await ana.post(W, json={"name": "churn"}, headers=key("e"))).json()["owner"]["name"] == "ana"
    assert (await leo.post(W, json={"name": "churn"}, headers=key("e"))).json()["owner"]["name"] == "leo"


async def test_a_new_key_s_secret_is_not_kept_for_repetition(ana: httpx.AsyncClient, services: Services) -> None:
    made = await ana.post("/api/v1/me/keys", json={"name": "laptop"}, headers=key("f"))
    secret = made.json()["key"]
    again = await ana.post("/api/v1/me/keys", json={"name": "laptop"}, headers=key("f"))
    assert again.status_code == 409
    assert again.json()["code"] == "idempotent-answer-gone"
    path = services.settings.data_dir / "studiolo.db"
    with sqlite3.connect(path) as database:
        stored = b"".join(line.encode() for line in database.iterdump())
    assert secret.encode() not in stored
    assert len((await ana.get("/api/v1/me/keys")).json()) == 2


async def test_a_request_that_a_kill_cut_off_is_not_done_again(
    ana: httpx.AsyncClient, services: Services, engine: FakeEngine, clock: ManualClock
) -> None:
    made = await ana.post(W, json={"name": "churn"}, headers=key("g"))
    assert made.status_code == 201
    with sqlite3.connect(services.settings.data_dir / "studiolo.db") as database:
        before = (clock.now() - timedelta(hours=1)).replace(tzinfo=None).isoformat(" ", "microseconds")
        database.execute("UPDATE idempotent_requests SET status = NULL, created_at = ?", [before])
    after = build(services.settings, engines={"local": engine}, clock=clock)
    transport = httpx.ASGITransport(app=create_app(after))  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url=ana.base_url, headers=ana.headers) as client:
        again = await client.post(W, json={"name": "churn"}, headers=key("g"))
    await after.db.close()
    assert again.status_code == 409
    assert again.json()["code"] == "request-interrupted"


async def test_half_a_request_is_not_done(ana: httpx.AsyncClient, services: Services) -> None:
    await ana.post(W, json={"name": "churn"})
    whole = b"resources:\n  cpu: 1\n  memory: 2g\n"
    messages = [{"type": "http.request", "body": whole[:20], "more_body": True}, {"type": "http.disconnect"}]
    said: list[Any] = []

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    async def send(message: Any) -> None:
        said.append(message)

    headers = [(b"host", b"localhost:28888"), (b"authorization", ana.headers["authorization"].encode())]
    path = f"{W}/churn/config"
    scope: dict[str, Any] = {
        "type": "http",
        "method": "PUT",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [*headers, (b"content-type", b"text/yaml"), (b"idempotency-key", b"h")],
    }
    before = (await ana.get(path)).text
    await create_app(services)(scope, receive, send)
    assert (await ana.get(path)).text == before
    # The same key serves once the request comes whole.
    again = await ana.put(path, content=whole, headers={"content-type": "text/yaml", **key("h")})
    assert again.status_code == 200, again.text


async def test_what_is_done_stays_done_though_its_answer_could_not_be_kept(
    ana: httpx.AsyncClient, services: Services, clock: ManualClock
) -> None:
    path = services.settings.data_dir / "studiolo.db"
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute(
            "CREATE TRIGGER no_answers BEFORE UPDATE ON idempotent_requests BEGIN DELETE FROM nowhere; END"
        )
    assert (await ana.post(W, json={"name": "churn"}, headers=key("i"))).status_code == 201
    again = await ana.post(W, json={"name": "churn"}, headers=key("i"))
    assert (again.status_code, again.json()["code"]) == (409, "request-in-progress")
    clock.advance(timedelta(minutes=6))
    again = await ana.post(W, json={"name": "churn"}, headers=key("i"))
    assert (again.status_code, again.json()["code"]) == (409, "request-interrupted")
    assert len((await ana.get(W)).json()["items"]) == 1


async def test_a_locked_database_is_said_to_be_the_cause(ana: httpx.AsyncClient, services: Services) -> None:
    path = services.settings.data_dir / "studiolo.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("BEGIN IMMEDIATE")
        reply = await ana.post(W, json={"name": "churn"}, headers=key("j"))
    assert (reply.status_code, reply.json()["code"]) == (503, "database-unavailable")


async def test_the_description_names_the_header(ana: httpx.AsyncClient) -> None:
    paths = (await ana.get("/api/v1/openapi.json")).json()["paths"]
    names = [parameter["name"] for parameter in paths[W]["post"]["parameters"]]
    assert names.count("Idempotency-Key") == 1
