"""Requests that repeat, move, stream and depend on a revision."""

import json
from collections.abc import AsyncIterator

import pytest

from cli.samples import KEY, SESSION, WORKSPACE
from studiolo.contract.errors import Conflict, InvalidInput, NotFound, NotSignedIn, Unavailable
from studiolo.sdk import AsyncStudiolo, Studiolo
from studiolo.sdk.events import read_events
from studiolo.testing.stand_in import Answer, StandIn

WORKSPACES = "/jupyter/workspaces"
SESSION_PATH = "/jupyter/sessions/s"
HANG_UP = Answer(None, status=0)
CODE = {"device_code": "d", "user_code": "WDJB-MJHT", "verification_uri": "http://p/sign-in/device"}
CODE |= {"verification_uri_complete": "http://p/sign-in/device?code=WDJB-MJHT", "expires_in": 600, "interval": 0}


def test_a_change_is_repeated_under_its_key_when_the_connection_is_lost(platform: StandIn) -> None:
    platform.answer("POST", WORKSPACES, HANG_UP, HANG_UP, Answer(WORKSPACE, 201))
    with Studiolo(platform.url, "key") as client:
        assert client.workspaces.create("churn").name == "churn"
    keys = {asked.headers["Idempotency-Key"] for asked in platform.asked}
    assert (len(platform.asked), len(keys)) == (3, 1)


def test_each_change_has_a_key_of_its_own(platform: StandIn) -> None:
    platform.answer("POST", WORKSPACES, Answer(WORKSPACE, 201))
    with Studiolo(platform.url, "key") as client:
        client.workspaces.create("churn")
        client.workspaces.create("churn")
    first, second = (asked.headers["Idempotency-Key"] for asked in platform.asked)
    assert first != second


def test_a_repetition_waits_for_what_the_lost_connection_began(platform: StandIn) -> None:
    problem = {"code": "request-in-progress", "kind": "conflict", "detail": "Wait."}
    working = Answer(problem, 409, "application/problem+json", headers=(("Retry-After", "0"),))
    platform.answer("POST", WORKSPACES, HANG_UP, working, Answer(WORKSPACE, 201))
    with Studiolo(platform.url, "key") as client:
        assert client.workspaces.create("churn").name == "churn"


def test_a_connection_that_stays_lost_is_told(platform: StandIn) -> None:
    platform.answer("POST", WORKSPACES, HANG_UP)
    with Studiolo(platform.url, "key") as client, pytest.raises(Unavailable, match="may have been done"):
        client.workspaces.create("churn")
    assert len(platform.asked) == 3


def test_a_former_name_leads_to_the_present_one(platform: StandIn) -> None:
    platform.answer(
        "GET", f"{WORKSPACES}/old", None, status=308, headers=(("Location", "/api/v1/jupyter/workspaces/churn"),)
    )
    platform.answer("GET", f"{WORKSPACES}/churn", WORKSPACE)
    with Studiolo(platform.url, "key") as client:
        assert client.workspaces.get("old").name == "churn"
    assert platform.asked[1].headers["Authorization"] == "Bearer key"


def test_nothing_follows_a_redirect_to_another_place(platform: StandIn) -> None:
    elsewhere = platform.url.replace("127.0.0.1", "localhost")
    platform.answer("POST", "/sign-in", None, status=308, headers=(("Location", f"{elsewhere}/api/v1/sign-in"),))
    with Studiolo(platform.url) as client, pytest.raises(Unavailable, match="not Studiolo"):
        client.platform.sign_in("ana", "secret")
    assert len(platform.asked) == 1


def test_a_change_can_depend_on_a_revision(platform: StandIn) -> None:
    platform.refuse("PATCH", f"{WORKSPACES}/churn", "conflict", "workspace-changed", 412)
    with Studiolo(platform.url, "key") as client, pytest.raises(Conflict) as caught:
        client.workspaces.update("churn", description="new", revision=7)
    assert caught.value.code == "workspace-changed"
    assert platform.last("PATCH").headers["If-Match"] == '"7"'


def test_a_configuration_travels_as_yaml(platform: StandIn) -> None:
    platform.answer("PUT", f"{WORKSPACES}/churn/config", WORKSPACE)
    with Studiolo(platform.url, "key") as client:
        client.workspaces.set_config("churn", "resources:\n  cpu: 4\n")
    assert platform.last("PUT").body == "resources:\n  cpu: 4\n"
    assert platform.last("PUT").headers["Content-Type"].startswith("text/yaml")


def test_sizes_are_understood_before_anything_is_sent(platform: StandIn) -> None:
    platform.answer("POST", f"{WORKSPACES}/churn/scale", {})
    with Studiolo(platform.url, "key") as client:
        with pytest.raises(InvalidInput, match="no size"):
            client.workspaces.scale("churn", {"memory": "lots"})
        assert platform.asked == []
        with pytest.raises(Unavailable):
            client.workspaces.scale("churn", {"cpu": 8, "memory": "16g"})
    assert platform.asked[0].body == {"resources": {"cpu": 8.0, "memory": 16 << 30}}


def test_progress_yields_until_the_session_has_settled(platform: StandIn) -> None:
    states = [{**SESSION, "state": "starting"}, SESSION]
    platform.answer("GET", f"{SESSION_PATH}/progress", _stream(*states))
    with Studiolo(platform.url, "key") as client:
        assert [seen.state for seen in client.sessions.progress("s")] == ["starting", "running"]


async def test_progress_goes_on_when_the_stream_breaks_off(platform: StandIn) -> None:
    platform.answer("GET", f"{SESSION_PATH}/progress", HANG_UP, _stream(SESSION))
    async with AsyncStudiolo(platform.url, "key") as client:
        assert [seen.state async for seen in client.sessions.progress("s")] == ["running"]


async def test_progress_does_not_go_on_for_ever(platform: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studiolo.sdk.resources.sessions._LONGEST_LOSS_SECONDS", 0.1)
    platform.answer("GET", f"{SESSION_PATH}/progress", HANG_UP)
    async with AsyncStudiolo(platform.url, "key") as client:
        with pytest.raises(Unavailable):
            _ = [seen async for seen in client.sessions.progress("s")]


def test_a_log_is_followed_to_its_end_and_may_be_left_before(platform: StandIn) -> None:
    body = "event: line\ndata: one\n\n: still here\n\nevent: line\ndata: a\u2028b\n\nevent: end\ndata:\n\n".encode()
    platform.answer("GET", f"{SESSION_PATH}/log/stream", body, content_type="text/event-stream")
    with Studiolo(platform.url, "key") as client:
        assert list(client.sessions.follow_log("s", lines=5)) == ["one", "a\u2028b"]
        assert next(client.sessions.follow_log("s")) == "one"
    assert platform.asked[0].query == {"lines": ["5"]}


def test_a_stream_that_is_refused_raises_the_error(platform: StandIn) -> None:
    platform.refuse("GET", f"{SESSION_PATH}/log/stream", "not-found", "session-not-found", 404)
    with Studiolo(platform.url, "key") as client, pytest.raises(NotFound):
        next(client.sessions.follow_log("s"))


def test_a_right_that_ends_on_the_way_raises_the_error(platform: StandIn) -> None:
    problem = {"code": "login-ended", "kind": "not-signed-in", "detail": "Your sign-in has ended."}
    body = f"event: line\ndata: one\n\nevent: problem\ndata: {json.dumps(problem)}\n\n".encode()
    platform.answer("GET", f"{SESSION_PATH}/log/stream", body, content_type="text/event-stream")
    with Studiolo(platform.url, "key") as client, pytest.raises(NotSignedIn, match="ended"):
        list(client.sessions.follow_log("s"))


async def test_events_are_read_wherever_the_chunks_end() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for byte in b"event: line\r\ndata: a\ndata:  b\n\ndata: cut off":
            yield bytes((byte,))

    assert [(event.name, event.data) async for event in read_events(chunks())] == [("line", "a\n b")]


def test_a_device_signs_in_when_somebody_has_approved(platform: StandIn) -> None:
    problem = {"code": "device-code-pending", "kind": "conflict", "detail": "Nobody yet."}
    platform.answer("POST", "/sign-in/device", CODE)
    pending = Answer(problem, 409, "application/problem+json")
    platform.answer("POST", "/sign-in/device/token", pending, Answer({**KEY, "key": "sto_x"}))
    shown: list[str] = []
    with Studiolo(platform.url) as client:
        made = client.platform.sign_in_device(lambda code: shown.append(code.user_code), key_name="laptop")
    assert (shown, made.key) == (["WDJB-MJHT"], "sto_x")


def _stream(*sessions: object) -> Answer:
    body = "".join(f"event: session\ndata: {json.dumps(session)}\n\n" for session in sessions).encode()
    return Answer(body, content_type="text/event-stream")
