"""Progress and log as streams, over real sockets, on a scripted engine."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import uvicorn

from server.conftest import ADDRESS, eventually
from studiolo.engines.base import Handle
from studiolo.server.app import create_app
from studiolo.server.services import Services
from studiolo.server.sessions import streams as streams_module
from studiolo.testing.fake_engine import FakeEngine

pytestmark = pytest.mark.timeout(60)

W = "/api/v1/jupyter/workspaces"
S = "/api/v1/jupyter/sessions"


@pytest.fixture
async def address(services: Services) -> AsyncIterator[str]:
    """Where the control plane answers on a real socket."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(create_app(services), lifespan="off", log_level="error", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        await serving


@pytest.fixture
async def session(ana: httpx.AsyncClient, engine: FakeEngine) -> dict[str, Any]:
    """A session that begins to start and hangs."""
    engine.behaviour.becomes_ready = False
    await ana.post(W, json={"name": "churn"})
    session = (await ana.post(S, json={"workspace": "churn"})).json()

    async def has_begun() -> bool:
        return (session["id"], 1) in engine.workloads

    await eventually(has_begun)
    return dict(session)


class Stream:
    """Events of a stream, read one by one."""

    def __init__(self, reply: httpx.Response) -> None:
        self.reply = reply
        self._lines = reply.aiter_lines()

    async def next(self) -> tuple[str, str] | None:
        """Return the next event, or None at the end; comments are passed over."""
        name, data = "", list[str]()
        async for line in self._lines:
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                data.append(line.removeprefix("data: "))
            elif not line and name:
                return name, "\n".join(data)
        return None

    async def until(self, name: str, **members: Any) -> dict[str, Any]:
        """Read on to an event of this name whose data has these members."""
        async with asyncio.timeout(10):
            while (found := await self.next()) is not None:
                data = json.loads(found[1])
                if found[0] == name and all(data[key] == value for key, value in members.items()):
                    return dict(data)
        raise AssertionError(f"the stream ended without {name} {members}")


@asynccontextmanager
async def opened(address: str, client: httpx.AsyncClient, path: str) -> AsyncIterator[Stream]:
    headers = {"Authorization": client.headers["Authorization"], "Host": ADDRESS.removeprefix("http://")}
    async with httpx.AsyncClient(base_url=address, headers=headers) as real, real.stream("GET", path) as reply:
        yield Stream(reply)


def handle(session: dict[str, Any]) -> Handle:
    return {"workload_id": session["id"], "launch": 1}


async def test_a_start_is_told_until_it_is_ready(
    ana: httpx.AsyncClient, address: str, session: dict[str, Any], engine: FakeEngine
) -> None:
    async with opened(address, ana, f"{S}/{session['id']}/progress") as stream:
        assert stream.reply.headers["content-type"].startswith("text/event-stream")
        first = await stream.until("session", state="starting")
        assert [step["name"] for step in first["steps"]] == ["Environment", "Server", "Ready"]
        engine.make_ready(handle(session))
        ready = await stream.until("session", state="running")
        assert ready["steps"][-1]["state"] == "done"
        assert await stream.next() is None


async def test_a_stop_cancels_the_start_and_the_stream_says_so(
    ana: httpx.AsyncClient, address: str, session: dict[str, Any]
) -> None:
    async with opened(address, ana, f"{S}/{session['id']}/progress") as stream:
        await stream.until("session", state="starting")
        await ana.post(f"{S}/{session['id']}/stop")
        ended = await stream.until("session", state="stopped")
        assert ended["reason"]["message"] == "Stopped by ana."
        assert await stream.next() is None


async def test_what_has_settled_is_told_once(ana: httpx.AsyncClient, address: str, session: dict[str, Any]) -> None:
    await ana.post(f"{S}/{session['id']}/stop", params={"wait": 5})
    async with opened(address, ana, f"{S}/{session['id']}/progress") as stream:
        await stream.until("session", state="stopped")
        assert await stream.next() is None


@pytest.mark.parametrize("kind", ["progress", "log/stream"])
async def test_a_client_that_goes_away_leaves_nothing_open(
    ana: httpx.AsyncClient, address: str, session: dict[str, Any], services: Services, kind: str
) -> None:
    async with opened(address, ana, f"{S}/{session['id']}/{kind}") as stream:
        await stream.next()
        assert services.session_streams._open

    async def is_closed() -> bool:
        return not services.session_streams._open

    await eventually(is_closed)


@pytest.mark.parametrize("kind", ["progress", "log/stream"])
async def test_a_stream_ends_with_the_right_to_read_it(
    ana: httpx.AsyncClient, leo: httpx.AsyncClient, address: str, session: dict[str, Any], kind: str
) -> None:
    await ana.put(f"{W}/churn/members", json={"person": "leo", "role": "owner"})
    async with opened(address, leo, f"{S}/{session['id']}/{kind}") as stream:
        assert await stream.next() is not None
        await ana.delete(f"{W}/churn/members/leo")
        async with asyncio.timeout(5):
            while (event := await stream.next()) is not None and event[0] != "problem":
                pass
        assert event is not None
        assert json.loads(event[1])["code"] == "session-not-found"
        assert await stream.next() is None


async def test_a_stream_ends_with_its_key(ana: httpx.AsyncClient, address: str, session: dict[str, Any]) -> None:
    made = (await ana.post("/api/v1/me/keys", json={"name": "short"})).json()
    with_key = httpx.AsyncClient(headers={"Authorization": f"Bearer {made['key']}"})
    async with with_key, opened(address, with_key, f"{S}/{session['id']}/progress") as stream:
        await stream.next()
        await ana.delete(f"/api/v1/me/keys/{made['id']}")
        assert (await stream.until("problem"))["code"] == "key-invalid"


async def test_the_log_is_followed_to_its_end(
    ana: httpx.AsyncClient, address: str, session: dict[str, Any], engine: FakeEngine
) -> None:
    async with opened(address, ana, f"{S}/{session['id']}/log/stream?lines=1") as stream:
        assert await stream.next() == ("line", f"started {session['id']}.1")
        engine.write_log(handle(session), "50%\r100% \N{SNOWMAN}")
        assert await stream.next() == ("line", "50%\n100% \N{SNOWMAN}")
        await ana.post(f"{S}/{session['id']}/stop")
        assert await stream.next() == ("end", "")
        assert await stream.next() is None


async def test_a_log_that_has_not_begun_is_waited_for(
    ana: httpx.AsyncClient, address: str, session: dict[str, Any], engine: FakeEngine
) -> None:
    engine.behaviour.may_start = asyncio.Event()
    made = (await ana.post(S, json={"workspace": "churn"})).json()
    async with opened(address, ana, f"{S}/{made['id']}/log/stream") as stream:
        engine.behaviour.may_start.set()
        assert await stream.next() == ("line", f"started {made['id']}.1")


async def test_a_reader_that_lags_is_waited_for(
    ana: httpx.AsyncClient, address: str, session: dict[str, Any], engine: FakeEngine
) -> None:
    lines = 100_000
    engine.workloads[session["id"], 1].log = ["x" * 200] * lines
    taken = 0
    follow = engine.follow

    async def counted(handle: Handle, *, lines: int) -> AsyncIterator[str]:
        nonlocal taken
        async for line in follow(handle, lines=100_000):
            taken += 1
            yield line

    engine.follow = counted  # type: ignore[method-assign]
    async with opened(address, ana, f"{S}/{session['id']}/log/stream") as stream:
        await stream.next()
        before = -1
        async with asyncio.timeout(20):
            while taken != before:
                before = taken
                await asyncio.sleep(0.3)
        assert taken < lines


async def test_streams_of_one_person_are_limited(
    ana: httpx.AsyncClient, address: str, session: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams_module, "_MOST_PER_PERSON", 1)
    async with opened(address, ana, f"{S}/{session['id']}/progress") as stream:
        await stream.next()
        refused = await ana.get(f"{S}/{session['id']}/progress")
        assert (refused.status_code, refused.json()["code"]) == (429, "too-many-streams")


async def test_a_stream_of_somebody_elses_session_is_refused_before_it_begins(
    leo: httpx.AsyncClient, session: dict[str, Any]
) -> None:
    for kind in ("progress", "log/stream"):
        refused = await leo.get(f"{S}/{session['id']}/{kind}")
        assert (refused.status_code, refused.json()["code"]) == (404, "session-not-found")
