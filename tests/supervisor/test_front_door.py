import asyncio
import json
import socket

import httpx
import pytest
import websockets

from supervisor.conftest import Door
from supervisor.front_door import Seen, serving


def session_host(door: Door) -> dict[str, str]:
    return {"host": f"s-0123456789abcdef.localhost:{door.settings.port}"}


async def test_a_platform_path_goes_to_the_control_plane_without_a_question(door: Door) -> None:
    reply = await door.http.get("/api/v1/health")
    assert reply.json() == {"by": "control"}
    assert [seen.path for seen in door.control.seen] == ["/api/v1/health"]


@pytest.mark.parametrize("path", ["/s/s-1/lab", "/s/s-1/api/kernels?x=1"])
async def test_a_session_path_on_the_platform_is_asked_about_and_carried(door: Door, path: str) -> None:
    reply = await door.http.get(path)
    assert reply.json() == {"by": "session"}
    assert door.questions[0].header("x-forwarded-uri") == path


async def test_everything_on_a_session_origin_is_asked_about_and_carried(door: Door) -> None:
    for path in ("/", "/api/v1/health", "/s/s-1/lab"):
        assert (await door.http.get(path, headers=session_host(door))).json() == {"by": "session"}
    assert len(door.questions) == 3


async def test_the_platforms_own_paths_on_a_session_origin_go_to_the_control_plane(door: Door) -> None:
    reply = await door.http.get("/_studiolo/enter?code=1", headers=session_host(door))
    assert reply.json() == {"by": "control"}
    assert not door.questions


async def test_unknown_hosts_are_left_to_the_control_plane(door: Door) -> None:
    for host in ("example.com", "a.b.localhost"):
        assert (await door.http.get("/", headers={"host": host})).json() == {"by": "control"}
        assert door.control.seen[-1].header("host") == host


async def test_the_question_shows_what_the_client_asked(door: Door) -> None:
    headers = {**session_host(door), "cookie": "studiolo-entry=e; _xsrf=x", "authorization": "Bearer key"}
    await door.http.post("/s/s-1/api/contents?type=file", content=b"body", headers=headers)
    question = door.questions[0]
    assert (question.method, question.path, question.query, question.body) == ("GET", "/_door", "", b"")
    assert question.header("x-studiolo-question") == "1"
    assert question.header("x-forwarded-method") == "POST"
    assert question.header("x-forwarded-uri") == "/s/s-1/api/contents?type=file"
    assert question.header("host") == question.header("x-forwarded-host") == headers["host"]
    assert question.header("cookie") == headers["cookie"]
    assert question.header("authorization") == headers["authorization"]


async def test_the_session_gets_the_answer_and_none_of_our_credentials(door: Door) -> None:
    door.allow(**{"x-studiolo-person": "cGVyc29u", "x-studiolo-auth": "login", "x-studiolo-cookie": "_xsrf=x"})
    headers = {
        "cookie": "studiolo-entry=e; _xsrf=x",
        "authorization": "Bearer key",
        "studiolo-session-password": "word",
    }
    await door.http.post("/s/s-1/api", content=b"body", headers=headers)
    seen = door.session.seen[0]
    assert (seen.method, seen.path, seen.body) == ("POST", "/s/s-1/api", b"body")
    assert seen.header("host") == f"localhost:{door.settings.port}"
    assert seen.header("cookie") == "_xsrf=x"
    assert seen.header("authorization") is seen.header("studiolo-session-password") is None
    ours = {name: value for name, value in seen.headers.items() if name.startswith("x-studiolo")}
    assert ours == {
        "x-studiolo-secret": ["of-launch"],
        "x-studiolo-person": ["cGVyc29u"],
        "x-studiolo-auth": ["login"],
    }


async def test_an_empty_cookie_answer_drops_the_cookies(door: Door) -> None:
    door.allow(**{"x-studiolo-cookie": ""})
    await door.http.get("/s/s-1/", headers={"cookie": "studiolo-entry=e"})
    assert door.session.seen[0].header("cookie") is None


FORGED = {
    "x-studiolo-upstream": "forged:1",
    "X-Studiolo-Secret": "forged",
    "x-studiolo-PERSON": "forged",
    "x-studiolo-question": "forged",
    "x-studiolo-else": "forged",
    "x-forwarded-method": "forged",
    "x-forwarded-uri": "/forged",
    "x-forwarded-host": "forged",
    "x-forwarded-for": "203.0.113.9, forged",
    "x-forwarded-proto": "forged",
}


async def test_nothing_that_a_client_claims_is_believed(door: Door) -> None:
    assert (await door.http.get("/s/s-1/", headers=FORGED)).json() == {"by": "session"}
    question, session = door.questions[0], door.session.seen[0]
    assert "forged" not in str(question.headers)
    assert question.header("x-studiolo-upstream") is None
    assert question.header("x-forwarded-uri") == "/s/s-1/"
    assert session.header("x-studiolo-secret") == "of-launch"
    believed = {"x-studiolo-upstream", "x-studiolo-person", "x-studiolo-else", "x-studiolo-question"}
    assert not believed & set(session.headers)


async def test_a_client_cannot_ask_the_question_itself(door: Door) -> None:
    await door.http.get("/_door", headers=FORGED)
    await door.http.get("/api/v1/me", headers=FORGED)
    for seen in door.control.seen:
        assert not [name for name in seen.headers if name.startswith("x-studiolo")]


async def test_an_answer_that_leaves_a_header_out_does_not_let_the_clients_through(door: Door) -> None:
    door.control.answer = lambda seen: (200, {}, b"")
    reply = await door.http.get("/s/s-1/", headers={"x-studiolo-upstream": f"unix/{door.session_socket}"})
    assert reply.status_code >= 500
    assert not door.session.seen


@pytest.mark.parametrize("status", [302, 401, 404, 503])
async def test_a_refusal_reaches_the_client_as_it_is(door: Door, status: int) -> None:
    door.control.answer = lambda seen: (status, {"location": "/go/s-1", "x-why": "so"}, b"no")
    reply = await door.http.get("/s/s-1/lab")
    assert (reply.status_code, reply.headers["location"], reply.headers["x-why"]) == (status, "/go/s-1", "so")
    assert reply.content == b"no"
    assert not door.session.seen


async def test_a_websocket_is_asked_about_once_and_carried(door: Door) -> None:
    url = f"ws://127.0.0.1:{door.settings.port}/s/s-1/api/kernels/k/channels"
    async with websockets.connect(url, additional_headers={"X-Studiolo-Secret": "forged"}, proxy=None) as socket:
        for text in ("one", "two"):
            await socket.send(text)
            assert await socket.recv() == text
    assert len(door.questions) == 1
    assert door.questions[0].header("upgrade") is None
    assert door.session.seen[0].header("x-studiolo-secret") == "of-launch"


async def test_no_client_has_what_we_add_taken_off_on_the_way(door: Door) -> None:
    added = {"x-studiolo-person": "cGVyc29u", "x-studiolo-auth": "key", "x-studiolo-login": "k-1"}
    door.allow(**added)
    headers = {"Connection": ", ".join(["Upgrade", "x-studiolo-secret", *added])}
    await door.http.get("/s/s-1/", headers=headers)
    url = f"ws://127.0.0.1:{door.settings.port}/s/s-1/api/kernels/k/channels"
    async with websockets.connect(url, additional_headers=headers, proxy=None) as socket:
        await socket.send("one")
    for seen in door.session.seen:
        assert {name: seen.header(name) for name in added} == added
        assert seen.header("x-studiolo-secret") == "of-launch"
    assert [seen.method for seen in door.session.seen] == ["GET", "WS"]


async def test_requests_wait_through_a_restart_of_the_control_plane(door: Door) -> None:
    async with asyncio.timeout(20):
        started = asyncio.Event()

        async def ask(method: str, path: str) -> httpx.Response:
            started.set()
            return await door.http.request(method, path, content=b"once")

        door.settings.control_socket.rename(door.settings.control_socket.with_suffix(".away"))
        waiting = [asyncio.create_task(ask("POST", "/api/v1/x")), asyncio.create_task(ask("POST", "/s/s-1/x"))]
        await started.wait()
        done, _ = await asyncio.wait(waiting, timeout=1.0)
        assert not done
        door.settings.control_socket.with_suffix(".away").rename(door.settings.control_socket)
        replies = [await task for task in waiting]
    assert [reply.json() for reply in replies] == [{"by": "control"}, {"by": "session"}]
    assert [seen.body for seen in door.control.seen if seen.path == "/api/v1/x"] == [b"once"]
    assert [seen.body for seen in door.session.seen] == [b"once"]


async def test_a_post_that_was_sent_is_never_sent_again(door: Door) -> None:
    door.control.seen.clear()

    def break_off(seen: Seen) -> tuple[int, dict[str, str], bytes]:
        raise ConnectionError("as when killed in the middle")

    door.control.answer = break_off
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    door.settings.control_socket.rename(door.settings.control_socket.with_suffix(".away"))
    listener.bind(str(door.settings.control_socket))
    listener.listen(8)
    accepted = 0

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal accepted
        accepted += 1
        await reader.readuntil(b"once")
        writer.close()

    async with await asyncio.start_unix_server(hang_up, sock=listener):
        reply = await door.http.post("/api/v1/x", content=b"once")
    assert (reply.status_code, accepted) == (502, 1)


async def test_a_session_that_is_gone_is_a_problem_for_a_program_and_a_page_for_a_person(door: Door) -> None:
    door.allow(**{"x-studiolo-upstream": f"unix/{door.session_socket}.gone"})
    problem = await door.http.get("/s/s-1/api/contents", headers={"accept": "application/json"})
    assert problem.status_code == 502
    assert problem.headers["content-type"] == "application/problem+json"
    body = json.loads(problem.text)
    assert (body["status"], body["code"], body["kind"]) == (502, "session-unreachable", "unavailable")
    page = await door.http.get("/s/s-1/lab", headers={"accept": "text/html,*/*"})
    assert page.headers["content-type"].startswith("text/html")
    assert "does not answer" in page.text
    assert "sock" not in page.text + problem.text


async def test_oversized_headers_are_refused(door: Door) -> None:
    reply = await door.http.get("/api/v1/health", headers={"x-large": "a" * 40_000})
    assert reply.status_code == 431


async def test_a_control_plane_that_stays_away_is_named_after_ten_seconds(door: Door) -> None:
    door.settings.control_socket.rename(door.settings.control_socket.with_suffix(".away"))
    reply = await door.http.get("/api/v1/health", headers={"accept": "text/html"})
    assert reply.status_code == 502
    assert reply.json()["code"] == "control-plane-unreachable"


async def test_large_bodies_stream_in_both_directions(door: Door) -> None:
    door.session.answer = lambda seen: (200, {}, seen.body)
    body = bytes(range(256)) * 8192
    assert (await door.http.put("/s/s-1/api/contents/x", content=body)).content == body


async def test_the_front_door_survives_the_end_of_its_session(door: Door) -> None:
    other = door.session_socket.with_name("other.sock")
    door.allow(**{"x-studiolo-upstream": f"unix/{other}"})
    async with serving(door.session, other):
        assert (await door.http.get("/s/s-1/")).status_code == 200
    assert (await door.http.get("/s/s-1/")).status_code == 502
    async with serving(door.session, other):
        assert (await door.http.get("/s/s-1/")).status_code == 200


async def test_a_request_has_one_id_in_question_session_and_control_plane_that_no_client_chooses(door: Door) -> None:
    forged = {"X-Request-Id": "123e4567-e89b-42d3-a456-426614174000"}
    await door.http.get("/s/s-1/lab", headers=forged)
    named = {door.questions[-1].header("x-request-id"), door.session.seen[-1].header("x-request-id")}
    assert len(named) == 1
    await door.http.get("/api/v1/health", headers=forged)
    assert len(named | {door.control.seen[-1].header("x-request-id")} - {None}) == 2
    assert forged["X-Request-Id"] not in named


async def test_workloads_without_a_network_enter_by_a_socket_of_their_own(door: Door) -> None:
    transport = httpx.AsyncHTTPTransport(uds=str(door.settings.workload_door))
    async with httpx.AsyncClient(transport=transport, base_url=door.settings.address) as http:
        assert (await http.get("/api/v1/health", headers={"x-forwarded-for": "1.2.3.4"})).json() == {"by": "control"}
        assert (await http.get("/s/s-1/lab")).json() == {"by": "session"}
    # What the client claims to be is not passed on, whatever the front door can see of it.
    assert "1.2.3.4" not in (door.control.seen[0].header("x-forwarded-for") or "")
    assert [seen.header("x-forwarded-uri") for seen in door.questions] == ["/s/s-1/lab"]
