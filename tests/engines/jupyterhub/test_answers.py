"""What the Hub answers, and what the engine makes of it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from engines.jupyterhub.recorded_hub import RecordedHub, page, recorded_hub, server, user
from studiolo.contract.errors import Denied, InvalidInput, NotFound, Unavailable
from studiolo.engines.base import Phase, WorkloadSpec
from studiolo.engines.jupyterhub.engine import HubEngine
from studiolo.engines.jupyterhub.names import Key, ServerNames
from studiolo.engines.jupyterhub.servers import HubServer, StartNews, clip, is_prefix, judge
from studiolo.engines.jupyterhub.settings import HubSettings
from studiolo.testing.ports import free_port

LIST = "GET users?state=active&limit=200&offset=0"
ANA = "GET users/ana?include_stopped_servers=1"
SCOPES = ["access:servers", "delete:servers", "list:users", "read:servers", "read:users:name", "start:servers!user=ana"]
NAME = ServerNames("lab").of("s-0123456789abcdef", 1)
HANDLE = {"workload_id": "s-0123456789abcdef", "launch": 1, "user": "ana", "server": NAME}
SPEC = WorkloadSpec("s-0123456789abcdef", 1, Path("/w"), Path("/e"), "/s/s-0123456789abcdef/", "", person="ana")


@pytest.fixture
async def hub() -> AsyncIterator[RecordedHub]:
    async with recorded_hub() as hub:
        hub.answers[LIST] = 200, page()
        yield hub


@pytest.fixture
async def make_engine(hub: RecordedHub, tmp_path: Path) -> AsyncIterator[Callable[..., HubEngine]]:
    made: list[HubEngine] = []
    (tmp_path / "token").write_text("of-the-service\n")

    def make(**values: Any) -> HubEngine:
        settings = HubSettings(**{"url": hub.url, "token_file": tmp_path / "token", "poll_seconds": 1, **values})
        made.append(HubEngine(settings, instance="lab"))
        return made[-1]

    yield make
    for engine in made:
        await engine.aclose()


@pytest.fixture
def engine(make_engine: Callable[..., HubEngine]) -> HubEngine:
    return make_engine()


def seen(*, ready: bool = False, pending: str | None = None) -> HubServer:
    return HubServer(Key("ana", NAME), f"/user/ana/{NAME}/", ready, pending)


def test_a_start_waits_for_the_hub_and_says_what_the_hub_says() -> None:
    news = StartNews("Pod is unschedulable: no GPUs are free")
    told = judge(seen(pending="spawn"), news, asked_to_stop=False, upstream="http://hub:80")
    assert (told.phase, told.message) == (Phase.PENDING, "Pod is unschedulable: no GPUs are free.")
    silent = judge(seen(pending="spawn"), None, asked_to_stop=False, upstream="http://hub:80")
    assert silent.message == "The JupyterHub starts the server."


@pytest.mark.parametrize(
    ("server", "news", "asked", "reason"),
    [
        (None, None, True, "vanished"),
        (seen(), StartNews("Spawn failed: no", failed=True), False, "never-ready"),
        (seen(), StartNews("Server ready"), True, "stopped"),
        (seen(), StartNews("Spawn cancelled", failed=True), True, "stopped"),
        (seen(), None, False, "server-exited"),
    ],
)
def test_an_end_has_its_reason(server: HubServer | None, news: StartNews | None, asked: bool, reason: str) -> None:
    told = judge(server, news, asked_to_stop=asked, upstream="http://hub:80")
    assert told.phase is Phase.ENDED
    assert told.exit is not None
    assert (told.exit.reason, told.upstream) == (reason, None)


def test_a_server_that_is_ending_has_not_ended() -> None:
    assert judge(seen(pending="stop"), None, asked_to_stop=True, upstream="http://hub:80").phase is Phase.STARTING


def test_foreign_words_are_one_short_line() -> None:
    assert clip("Spawn failed:\n\tno\x1b[31m room.") == "Spawn failed: no[31m room"
    assert len(clip("x" * 9999)) == 256
    assert clip(None) == ""


@pytest.mark.parametrize(
    ("url", "good"),
    [
        ("/user/ana/s-1/", True),
        ("/jupyter/user/a@b.c/%C3%BC/", True),
        ("/user/ana/../leo/", False),
        ("/user//x/", False),
        ("//evil.test/", False),
        ("https://evil.test/", False),
        ("/user/ana/s-1", False),
        ("/user/a\r\nb/", False),
    ],
)
def test_a_prefix_is_a_plain_path(url: str, good: bool) -> None:
    assert is_prefix(url) is good


async def test_all_sessions_are_observed_by_one_listing_and_its_pages(engine: HubEngine, hub: RecordedHub) -> None:
    others = [server(f"s-{number:016d}-1-000000") for number in range(50)]
    hub.answers[LIST] = 200, page(user("ana", server(NAME), *others), following=200)
    hub.answers[LIST.replace("offset=0", "offset=200")] = 200, page(user("leo", server("gpu", user="leo")))
    handles = [{**HANDLE, "server": model["name"]} for model in others]
    told = await asyncio.gather(*(engine.observe(handle) for handle in [HANDLE, *handles] * 4))
    assert {one.phase for one in told} == {Phase.READY}
    assert {one.upstream for one in told} == {hub.url}
    assert len(hub.asked) == 2
    assert hub.authorizations == {"token of-the-service"}


async def test_a_failed_start_that_nobody_followed_is_asked_for_its_reason(engine: HubEngine, hub: RecordedHub) -> None:
    hub.answers[ANA] = 200, user("ana", server(NAME, ready=False))
    event = 'data: {"progress": 100, "failed": true, "message": "Spawn failed: No GPUs are left."}\n\n'
    hub.answers[f"GET users/ana/servers/{NAME}/progress"] = 200, event
    told = await engine.observe(HANDLE)
    assert told.exit is not None
    assert told.exit.message == "The JupyterHub could not start the server: Spawn failed: No GPUs are left."


async def test_a_hub_that_is_away_ends_nothing_and_starts_nothing(make_engine: Callable[..., HubEngine]) -> None:
    engine = make_engine(url=f"http://127.0.0.1:{free_port()}")
    told = await engine.observe(HANDLE)
    assert (told.phase, told.message) == (Phase.UNKNOWN, "The JupyterHub does not answer.")
    for call in (engine.start(SPEC), engine.stop(HANDLE, grace=timedelta(0)), engine.front(HANDLE), engine.describe()):
        with pytest.raises(Unavailable) as caught:
            await call
        assert caught.value.code == "engine-unavailable"


async def test_a_hub_that_hangs_holds_up_nobody(
    engine: HubEngine, hub: RecordedHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.hangs = asyncio.Event()
    monkeypatch.setattr("studiolo.engines.jupyterhub.lookout._PATIENCE_SECONDS", 0.2)
    async with asyncio.timeout(30):
        told = await asyncio.gather(*(engine.observe(HANDLE) for _ in range(20)))
    assert {one.phase for one in told} == {Phase.UNKNOWN}
    assert hub.asked == [LIST]


@pytest.mark.parametrize("body", ["<html>", "[]", '{"items": 1}', '{"items": [{"servers": []}]}'])
async def test_an_answer_that_is_none_of_a_hubs_is_no_answer(engine: HubEngine, hub: RecordedHub, body: str) -> None:
    hub.answers[LIST] = 200, body
    assert (await engine.observe(HANDLE)).phase is Phase.UNKNOWN


@pytest.mark.parametrize("status", [401, 403, 500, 302])
async def test_a_hub_that_refuses_to_list_ends_nothing(engine: HubEngine, hub: RecordedHub, status: int) -> None:
    hub.answers[LIST] = status, {"status": status, "message": "Action is not authorized with current scopes"}
    told = await engine.observe(HANDLE)
    assert told.phase is Phase.UNKNOWN
    assert str(status) in (told.message or "")


async def test_scopes_that_the_token_lacks_are_named(engine: HubEngine, hub: RecordedHub) -> None:
    hub.answers["GET user"] = 200, {"kind": "service", "name": "studiolo", "scopes": SCOPES}
    with pytest.raises(Unavailable, match=r"lacks scopes: tokens\."):
        await engine.describe()
    # They are given meanwhile: nobody restarts the platform.
    hub.answers["GET user"] = 200, {"kind": "service", "name": "studiolo", "scopes": [*SCOPES, "tokens"]}
    assert (await engine.describe()).cpu is None


async def test_users_that_the_hub_does_not_know_are_refused_or_made(
    make_engine: Callable[..., HubEngine], hub: RecordedHub
) -> None:
    with pytest.raises(NotFound, match="no user for ana"):
        await make_engine().start(SPEC)
    assert not [asked for asked in hub.asked if asked.startswith("POST")]
    hub.answers["POST users/ana"] = 409, {"status": 409, "message": "User ana already exists"}
    hub.answers[f"POST users/ana/servers/{NAME}"] = 201, ""
    assert await make_engine(create_users=True).start(SPEC) == HANDLE


@pytest.mark.parametrize(
    ("status", "error", "message"),
    [
        (400, InvalidInput, "The JupyterHub does not start this server: Invalid user options."),
        (403, Denied, "The JupyterHub does not let Studiolo start servers: Invalid user options."),
        (503, Unavailable, "The JupyterHub refuses to answer (503: Invalid user options)."),
    ],
)
async def test_a_refused_start_says_what_the_hub_says(
    engine: HubEngine, hub: RecordedHub, status: int, error: type[Exception], message: str
) -> None:
    hub.answers[ANA] = 200, user("ana")
    hub.answers[f"POST users/ana/servers/{NAME}"] = status, {"status": status, "message": "Invalid user options."}
    with pytest.raises(error) as caught:
        await engine.start(SPEC)
    assert str(caught.value) == message


async def test_a_start_makes_room_for_itself_and_no_other(engine: HubEngine, hub: RecordedHub) -> None:
    old = ServerNames("lab").of("s-0123456789abcdef", 0)
    other = ServerNames("lab").of("s-fedcba9876543210", 1)
    hub.answers[ANA] = 200, user("ana", server(old, ready=False), server(other, ready=False), server("gpu"))
    hub.answers[f"POST users/ana/servers/{NAME}"] = 202, ""
    await engine.start(SPEC)
    assert [asked for asked in hub.asked if asked.startswith("DELETE")] == [f"DELETE users/ana/servers/{old}"]


async def test_a_token_is_asked_for_once_and_kept(engine: HubEngine, hub: RecordedHub) -> None:
    hub.answers[LIST] = 200, page(user("ana", server(NAME)))
    hub.answers["POST users/ana/tokens"] = 201, {"token": "of-the-server", "scopes": []}
    fronts = await asyncio.gather(*(engine.front(HANDLE) for _ in range(20)))
    assert {front.prefix for front in fronts} == {f"/user/ana/{NAME}/"}
    assert {front.headers["Authorization"] for front in fronts} == {"token of-the-server"}
    assert hub.asked.count("POST users/ana/tokens") == 1
    assert "of-the-server" not in repr(fronts[0])


async def test_a_hub_with_domains_for_its_users_is_seen_and_not_entered(engine: HubEngine, hub: RecordedHub) -> None:
    model = {**server(NAME), "url": f"https://ana.hub.test/user/ana/{NAME}/"}
    hub.answers[LIST] = 200, page(user("ana", model))
    assert (await engine.observe(HANDLE)).phase is Phase.READY
    with pytest.raises(Unavailable, match="domain for each"):
        await engine.front(HANDLE)


async def test_a_sweep_ends_nothing_of_others(engine: HubEngine, hub: RecordedHub) -> None:
    foreign = ServerNames("other").of("s-0123456789abcdef", 2)
    unwanted = ServerNames("lab").of("s-0123456789abcdef", 2)
    models = [server(name) for name in ("", "gpu", foreign, NAME, unwanted)]
    hub.answers[LIST] = 200, page(user("ana", *models))

    async def ask_wanted() -> set[tuple[str, int]]:
        return {("s-0123456789abcdef", 1)}

    assert await engine.sweep(ask_wanted) == [f"ana/{unwanted}"]
    assert [asked for asked in hub.asked if asked.startswith("DELETE")] == [f"DELETE users/ana/servers/{unwanted}"]
