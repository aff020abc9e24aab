import asyncio
import inspect
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest

import studiolo.sdk
from studiolo.contract.errors import HTTP_STATUS, KINDS, InvalidInput, NotFound, StudioloError, Unavailable
from studiolo.sdk import AsyncStudiolo, Studiolo
from studiolo.sdk.listing import Listing
from studiolo.testing.stand_in import Answer, StandIn

ME = {
    "id": "p-1",
    "name": "ana",
    "display_name": "Ana",
    "email": None,
    "is_admin": False,
    "has_password": True,
    "scopes": None,
}
HEALTH = {"status": "ok", "version": "1"}


def test_the_public_names_are_these() -> None:
    assert studiolo.sdk.__all__ == ["AsyncStudiolo", "Credentials", "Studiolo", "find_credentials"]
    resources = [
        "audit",
        "backups",
        "banners",
        "bases",
        "datasets",
        "environments",
        "file_trash",
        "files",
        "gpus",
        "images",
        "invitations",
        "kernels",
        "keys",
        "me",
        "notifications",
        "packages",
        "people",
        "policies",
        "platform",
        "requests",
        "scans",
        "sessions",
        "shares",
        "versions",
        "workspaces",
    ]
    with Studiolo("http://localhost:1") as client:
        assert sorted(name for name in vars(client) if not name.startswith("_")) == sorted([*resources, "url"])
        methods = {name: sorted(m for m in dir(getattr(client, name)) if not m.startswith("_")) for name in resources}
    assert methods == {
        "audit": ["list"],
        "backups": ["cancel", "list", "start", "wait"],
        "banners": ["get", "post", "withdraw"],
        "bases": ["add", "choose", "list", "remove"],
        "datasets": ["create", "delete", "list", "update"],
        "environments": [
            "build",
            "builds",
            "cancel",
            "difference",
            "get",
            "lock",
            "progress",
            "rebuild",
            "restore",
            "restore_notebook",
            "rollback",
            "sbom",
            "stamp_notebook",
            "undo",
            "wait",
        ],
        "file_trash": ["erase", "list", "restore"],
        "files": ["copy", "delete", "download", "info", "list", "mkdir", "move", "read", "search", "upload"],
        "gpus": ["get", "notify", "withdraw"],
        "images": ["build", "get", "list", "remove", "wait"],
        "invitations": ["accept", "create", "list", "renew", "withdraw"],
        "kernels": [
            "create_spec",
            "follow_output",
            "get",
            "interrupt",
            "list",
            "log",
            "output",
            "remove_spec",
            "restart",
            "specs",
            "start",
            "stop",
        ],
        "keys": ["create", "list", "revoke"],
        "me": ["change_password", "get", "logins", "sign_out_everywhere"],
        "notifications": ["list", "read"],
        "packages": ["check", "install", "list", "remove", "search_conda"],
        "people": [
            "access",
            "create",
            "erase",
            "hand_over",
            "list",
            "reinstate",
            "set_admin",
            "sign_in_link",
            "suspend",
        ],
        "policies": ["check", "get", "history", "refused_of_base", "revoke", "set", "what_if"],
        "platform": [
            "begin_device_sign_in",
            "disk",
            "engines",
            "finish_device_sign_in",
            "free",
            "get",
            "health",
            "inspect",
            "profiles",
            "sign_in",
            "sign_in_device",
        ],
        "requests": ["approve", "create", "deny", "get", "install_again", "list", "withdraw"],
        "scans": [
            "accept",
            "accepted",
            "cancel",
            "file",
            "get",
            "list",
            "progress",
            "reopen",
            "start",
            "wait",
        ],
        "sessions": [
            "delete",
            "execute",
            "follow_log",
            "get",
            "launch",
            "list",
            "log",
            "progress",
            "restart",
            "snooze",
            "start",
            "stop",
            "usage",
            "wait",
        ],
        "shares": ["create", "delete", "list"],
        "versions": ["compare", "download", "list", "restore"],
        "workspaces": [
            "cancel_clone",
            "cancel_move",
            "clear_cache",
            "clone",
            "clone_progress",
            "config",
            "confirm_move",
            "create",
            "delete",
            "duplicate",
            "erase",
            "export",
            "export_archive",
            "export_file",
            "get",
            "import_archive",
            "leave",
            "limits",
            "list",
            "members",
            "metadata",
            "move",
            "move_progress",
            "remove_member",
            "report",
            "reset",
            "restore",
            "scale",
            "set_config",
            "set_member",
            "stats",
            "transfer",
            "trash",
            "update",
            "usage",
            "wait_for_clone",
            "wait_for_move",
        ],
    }


def test_both_clients_have_the_same_methods_with_the_same_parameters() -> None:
    asynchronous = AsyncStudiolo("http://localhost:1")
    with Studiolo("http://localhost:1") as blocking:
        for name, resource in vars(asynchronous).items():
            for method in [] if name.startswith("_") or name == "url" else _methods(resource):
                other = inspect.signature(getattr(type(getattr(blocking, name)), method))
                assert other == inspect.signature(getattr(type(resource), method)), f"{name}.{method}"
    asyncio.run(asynchronous.close())


def _methods(resource: Any) -> list[str]:
    return [name for name in dir(resource) if not name.startswith("_")]


async def test_the_async_client_pages_through_a_list(platform: StandIn) -> None:
    person = {"id": "p", "name": "n", "display_name": "N", "email": None, "is_admin": False}
    person |= {"created_at": "2026-11-21T04:00:00Z", "last_seen_at": None}
    pages = [{"items": [{**person, "name": name}], "next_cursor": after} for name, after in (("a", "2"), ("b", None))]
    platform.answer("GET", "/people", *pages)
    async with AsyncStudiolo(platform.url, "key") as client:
        listing = client.people.list(page_size=1)
        assert isinstance(listing, Listing)
        assert [found.name async for found in listing] == ["a", "b"]
    assert [asked.query for asked in platform.asked] == [{"limit": ["1"]}, {"limit": ["1"], "cursor": ["2"]}]


def test_the_blocking_client_pages_lazily(platform: StandIn) -> None:
    event = {"id": "a", "sequence": 1, "at": "2026-11-21T04:00:00Z", "actor": None, "via": "key", "action": "x"}
    event |= {"target": "t", "workspace_id": None, "detail": {}}
    platform.answer("GET", "/audit", {"items": [event], "next_cursor": "more"})
    with Studiolo(platform.url, "key") as client:
        events = client.audit.list()
        assert platform.asked == []
        next(events)
    assert len(platform.asked) == 1


async def test_the_blocking_client_works_where_a_loop_runs(platform: StandIn) -> None:
    platform.answer("GET", "/me", ME)
    with Studiolo(platform.url, "key") as client:
        assert client.me.get().name == "ana"


def test_closing_ends_the_thread_and_may_be_repeated(platform: StandIn) -> None:
    before = threading.active_count()
    client = Studiolo(platform.url)
    client.close()
    client.close()
    assert threading.active_count() <= before


def test_the_key_travels_as_a_bearer(platform: StandIn) -> None:
    platform.answer("GET", "/me", ME)
    with Studiolo(platform.url, "the-key") as client:
        client.me.get()
    assert platform.asked[0].headers["Authorization"] == "Bearer the-key"


@pytest.mark.parametrize("kind", KINDS)
def test_a_problem_becomes_the_error_that_the_server_raised(platform: StandIn, kind: str) -> None:
    status = HTTP_STATUS[kind]
    platform.refuse("PUT", "/me/password", kind, "password-weak", status, detail="No.", hint="Do.", candidates=["a"])
    with Studiolo(platform.url, "key") as client, pytest.raises(KINDS[kind]) as caught:
        client.me.change_password("x")
    error = caught.value
    assert isinstance(error, StudioloError)
    assert (error.code, error.message, error.hint) == ("password-weak", "No.", "Do.")
    assert error.extra["candidates"] == ["a"]


def test_a_code_of_a_newer_server_keeps_its_class(platform: StandIn) -> None:
    platform.refuse("GET", "/me", "not-found", "from-the-future", 404)
    with Studiolo(platform.url, "key") as client, pytest.raises(NotFound) as caught:
        client.me.get()
    assert caught.value.code == "from-the-future"


def test_nothing_at_the_address_is_unreachable_and_says_where() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        with Studiolo(url) as client, pytest.raises(Unavailable, match=url) as caught:
            client.platform.health()
    assert caught.value.code == "control-plane-unreachable"
    assert "studiolo up" in (caught.value.hint or "")


@pytest.mark.parametrize(
    "answer",
    [Answer(b"<h1>hello</h1>", content_type="text/html"), Answer(b"no", 404, "text/plain"), Answer({"x": 1})],
    ids=["page", "plain 404", "other json"],
)
def test_another_program_at_the_address_is_told_apart(platform: StandIn, answer: Answer) -> None:
    platform.answer("GET", "/health", answer)
    with Studiolo(platform.url) as client, pytest.raises(Unavailable, match="not Studiolo"):
        client.platform.health()


def test_a_read_is_tried_again_while_the_platform_is_busy(platform: StandIn) -> None:
    busy = Answer(None, 503, headers=(("Retry-After", "0"),))
    platform.answer("GET", "/health", busy, busy, Answer(HEALTH))
    with Studiolo(platform.url) as client:
        assert client.platform.health().version == "1"
    assert len(platform.asked) == 3


def test_a_read_is_not_tried_for_ever(platform: StandIn) -> None:
    platform.answer("GET", "/health", b"", status=503)
    with Studiolo(platform.url) as client, pytest.raises(Unavailable):
        client.platform.health()
    assert len(platform.asked) == 3


def test_a_change_is_never_sent_twice(platform: StandIn) -> None:
    platform.answer("POST", "/me/sign-out-everywhere", b"", status=503)
    with Studiolo(platform.url, "key") as client, pytest.raises(Unavailable):
        client.me.sign_out_everywhere()
    assert len(platform.asked) == 1


def test_a_silent_platform_is_a_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with Studiolo(url, timeout_seconds=0.2) as client, pytest.raises(Unavailable) as caught:
            client.platform.health()
    assert caught.value.code == "timeout"


@pytest.mark.req("S0-90")
def test_a_key_is_not_sent_to_another_machine_unencrypted() -> None:
    with pytest.raises(InvalidInput) as caught:
        Studiolo("http://notebooks.example.com", "key")
    assert caught.value.code == "address-insecure"
    Studiolo("http://notebooks.example.com", "key", insecure=True).close()


def test_a_proxy_of_the_environment_does_not_see_what_is_for_this_machine(
    platform: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    platform.answer("GET", "/health", HEALTH)
    with Studiolo(platform.url, "key") as client:
        client.platform.health()


def test_an_unusable_file_of_authorities_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUDIOLO_CA_FILE", "/nowhere/ca.pem")
    with pytest.raises(InvalidInput, match=r"/nowhere/ca\.pem"):
        Studiolo("https://localhost:20443")


@pytest.mark.parametrize(
    ("reference", "path"),
    [("ana/churn", "ana~churn"), ("a b", "a%20b"), ("../x", "..~x"), ("x?y#z", "x%3Fy%23z")],
)
def test_a_name_stays_one_segment_of_the_path(platform: StandIn, reference: str, path: str) -> None:
    with Studiolo(platform.url, "key") as client, pytest.raises(NotFound):
        client.workspaces.get(reference)
    assert platform.asked[0].path == f"/jupyter/workspaces/{path}"


@pytest.mark.parametrize("reference", ["", "..", ".", " / "])
def test_what_would_be_another_path_is_refused(platform: StandIn, reference: str) -> None:
    with Studiolo(platform.url, "key") as client, pytest.raises(InvalidInput):
        client.workspaces.delete(reference)
    assert platform.asked == []


def test_only_what_was_given_is_sent(platform: StandIn) -> None:
    calls: list[tuple[Callable[[Studiolo], object], object]] = [
        (lambda client: client.workspaces.update("w", name="n"), {"name": "n"}),
        (lambda client: client.sessions.launch("w"), {"workspace": "w"}),
        (lambda client: client.sessions.stop("s"), None),
    ]
    with Studiolo(platform.url, "key") as client:
        for call, body in calls:
            with pytest.raises(NotFound):
                call(client)
            assert platform.asked[-1].body == body
