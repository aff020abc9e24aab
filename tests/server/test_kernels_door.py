"""The front door's question for kernels outside sessions, and gateway keys."""

import base64
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from server.conftest import People
from server.kernel_host import add_kernel
from server.test_door import Browser, ask, login
from studiolo.contract.models import KeyCreate
from studiolo.server.services import Services
from studiolo.server.settings import Settings

W = "/api/v1/jupyter/workspaces"
KEYS = "/api/v1/me/keys"
HOST = "localhost:28888"


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    run_dir = Path(tempfile.mkdtemp(prefix="st-", dir="/tmp"))
    yield Settings(data_dir=tmp_path / "data", port=28888, run_dir=run_dir)
    shutil.rmtree(run_dir)


def caller(reply: httpx.Response) -> dict[str, Any]:
    """Read what the host would be told."""
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(reply.headers["x-studiolo-kernels"] + "=="))
    return found


async def make(client: httpx.AsyncClient, name: str = "churn") -> str:
    return str((await client.post(W, json={"name": name})).json()["id"])


async def gateway_key(client: httpx.AsyncClient, **members: Any) -> str:
    reply = await client.post(KEYS, json={"name": "program", "kind": "gateway", **members})
    assert reply.status_code == 201, reply.text
    return str(reply.json()["key"])


@pytest.mark.req("S1-29")
async def test_a_gateway_key_is_shown_once_and_listed_as_such(ana: httpx.AsyncClient) -> None:
    workspace = await make(ana)
    made = (await ana.post(KEYS, json={"name": "p", "kind": "gateway", "workspace": "churn"})).json()
    assert made["key"].startswith("stg_")
    assert (made["kind"], made["scopes"], made["workspace_id"]) == ("gateway", ["kernels"], workspace)
    listed = next(key for key in (await ana.get(KEYS)).json() if key["id"] == made["id"])
    assert listed["kind"] == "gateway"
    assert "key" not in listed


async def test_a_gateway_key_opens_no_route_of_the_platform(people: People, ana: httpx.AsyncClient) -> None:
    key = await gateway_key(ana)
    async with people.anonymous({"Authorization": f"Bearer {key}"}) as client:
        for path in (W, "/api/v1/me", "/api/v1/kernels", "/api/v1/jupyter/sessions"):
            reply = await client.get(path)
            assert (reply.status_code, reply.json()["code"]) == (403, "scope-missing")
            assert "gateway key" in reply.json()["detail"]
            assert reply.json()["hint"]


async def test_a_gateway_key_enters_no_session(people: People, ana: httpx.AsyncClient) -> None:
    await make(ana)
    session = (await ana.post(f"{W}/churn/sessions", params={"wait": 5})).json()["id"]
    key = await gateway_key(ana)
    reply = await ask(people, f"/s/{session}/api/contents", Host=HOST, Authorization=f"token {key}")
    assert (reply.status_code, reply.json()["code"]) == (403, "scope-missing")


@pytest.mark.parametrize("members", [{"workspace": "nothing"}, {"scopes": ["sessions:read"]}])
async def test_a_gateway_key_for_what_is_not_there_is_not_made(ana: httpx.AsyncClient, members: Any) -> None:
    reply = await ana.post(KEYS, json={"name": "p", "kind": "gateway", **members})
    assert reply.status_code in (404, 422)
    assert (await ana.post(KEYS, json={"name": "p", "workspace": "churn"})).status_code == 422


async def test_a_key_that_may_start_nothing_makes_no_gateway_key(people: People, services: Services) -> None:
    ana = await people.add("ana")
    narrow = await services.keys.create_key(ana, KeyCreate(name="n", scopes=["account:write", "sessions:read"]))
    async with people.anonymous({"Authorization": f"Bearer {narrow.key}"}) as client:
        reply = await client.post(KEYS, json={"name": "p", "kind": "gateway"})
    assert (reply.status_code, reply.json()["code"]) == (403, "scope-missing")


@pytest.mark.req("S1-27")
async def test_all_ways_of_sending_a_key_that_stock_clients_use_lead_to_the_same_caller(
    people: People, ana: httpx.AsyncClient
) -> None:
    workspace, key = await make(ana), await gateway_key(ana)
    path = f"/w/{workspace}/api/kernels"
    for headers, query in (
        ({"Authorization": f"token {key}"}, ""),
        ({"Authorization": f"Bearer {key}"}, ""),
        ({}, f"?token={key}"),
    ):
        reply = await ask(people, path + query, Host=HOST, **headers)
        found = caller(reply)
        assert found["scope"] == workspace
        assert found["rights"] == ["see", "execute", "start"]
        assert found["person"]["name"] == "ana"
        assert found["login"].startswith("k-")
        assert (found["prefix"], found["origin"]) == (f"/w/{workspace}/", None)
        assert reply.headers["x-studiolo-upstream"].endswith("kernels.sock")
        assert len(reply.headers["x-studiolo-secret"]) > 20


async def test_an_ordinary_key_works_in_the_header_and_never_in_an_address(
    people: People, ana: httpx.AsyncClient
) -> None:
    workspace = await make(ana)
    key = ana.headers["authorization"].removeprefix("Bearer ")
    assert caller(await ask(people, f"/w/{workspace}/api", Host=HOST, Authorization=f"token {key}"))
    reply = await ask(people, f"/w/{workspace}/api?token={key}", Host=HOST)
    assert (reply.status_code, reply.json()["code"]) == (401, "key-invalid")
    assert key not in reply.text


async def test_nobody_is_let_in_without_a_key(people: People, ana: httpx.AsyncClient) -> None:
    workspace = await make(ana)
    for path in ("/api/kernels", "/api", f"/w/{workspace}/api/kernelspecs"):
        reply = await ask(people, path, Host=HOST)
        assert (reply.status_code, reply.json()["code"]) == (401, "not-signed-in")
        assert reply.json()["message"]


@pytest.mark.req("S1-26")
async def test_roles_decide_what_may_be_done(people: People, ana: httpx.AsyncClient) -> None:
    workspace = await make(ana)
    rights = {}
    for person, role in (("ed", "editor"), ("vi", "viewer"), ("sam", None)):
        client = await people.client(person)
        if role:
            await ana.put(f"{W}/{workspace}/members", json={"person": person, "role": role})
        key = await gateway_key(client)
        reply = await ask(people, f"/w/{workspace}/api/kernels", Host=HOST, Authorization=f"token {key}")
        rights[person] = caller(reply)["rights"] if reply.status_code == 200 else reply.json()["code"]
        await client.aclose()
    assert rights == {"ed": ["see", "execute", "start"], "vi": ["see"], "sam": "workspace-not-found"}


async def test_a_key_that_only_reads_sees_and_starts_nothing(people: People, ana: httpx.AsyncClient) -> None:
    workspace = await make(ana)
    made = (await ana.post(KEYS, json={"name": "r", "scopes": ["sessions:read"]})).json()["key"]
    assert caller(await ask(people, f"/w/{workspace}/api", Host=HOST, Authorization=f"token {made}"))["rights"] == [
        "see"
    ]


async def test_a_bound_key_reaches_its_own_workspace_only(people: People, ana: httpx.AsyncClient) -> None:
    churn, other = await make(ana), await make(ana, "other")
    key = await gateway_key(ana, workspace="churn")
    headers = {"Host": HOST, "Authorization": f"token {key}"}
    assert caller(await ask(people, "/api/kernels", **headers))["scope"] == churn
    assert (await ask(people, f"/w/{other}/api/kernels", **headers)).json()["code"] == "workspace-not-found"


async def test_at_the_root_the_persons_own_workspace_is_made_when_first_needed(
    people: People, ana: httpx.AsyncClient
) -> None:
    key = await gateway_key(ana)
    headers = {"Host": HOST, "Authorization": f"token {key}"}
    assert (await ana.get(W)).json()["items"] == []
    first = caller(await ask(people, "/api/kernelspecs", **headers))
    assert [item["name"] for item in (await ana.get(W)).json()["items"]] == ["kernels"]
    assert caller(await ask(people, "/api/kernels", "POST", **headers))["scope"] == first["scope"]
    assert first["prefix"] == "/"


async def test_a_kernel_named_by_its_id_is_found_in_whatever_workspace(
    people: People, services: Services, ana: httpx.AsyncClient, leo: httpx.AsyncClient
) -> None:
    workspace = await make(ana)
    me = (await ana.get("/api/v1/me")).json()["id"]
    kernel = await add_kernel(services, workspace, me)
    path = f"/api/kernels/{kernel}/channels"
    key = await gateway_key(ana)
    found = caller(await ask(people, path, Host=HOST, Authorization=f"token {key}"))
    assert (found["scope"], found["prefix"]) == (workspace, "/")
    stranger = await gateway_key(leo)
    foreign = caller(await ask(people, path, Host=HOST, Authorization=f"token {stranger}"))
    assert foreign["scope"] != workspace


async def test_a_viewer_never_reaches_the_kernels_of_anothers_session(
    people: People, services: Services, ana: httpx.AsyncClient
) -> None:
    workspace = await make(ana)
    vi = await people.client("vi")
    await ana.put(f"{W}/{workspace}/members", json={"person": "vi", "role": "editor"})
    session = (await ana.post(f"{W}/churn/sessions", params={"wait": 5})).json()["id"]
    me = (await ana.get("/api/v1/me")).json()["id"]
    kernel = await add_kernel(services, workspace, me, scope=f"{session}.1", session_id=session)
    key = await gateway_key(vi)
    reply = await ask(people, f"/api/kernels/{kernel}", Host=HOST, Authorization=f"token {key}")
    assert (reply.status_code, reply.json()["code"]) == (403, "denied")
    await vi.aclose()


async def test_a_preflight_passes_without_a_key_and_names_no_caller(people: People) -> None:
    for path in ("/api/kernels", "/w/churn/api/kernels"):
        reply = await ask(people, path, "OPTIONS", Host=HOST, Origin="https://app.example")
        assert reply.status_code == 200
        assert "x-studiolo-kernels" not in reply.headers


@pytest.mark.parametrize("host", ["evil.example:28888", "s-0123456789abcdef.localhost:28888"])
async def test_kernels_are_served_under_the_platforms_own_name_only(
    people: People, ana: httpx.AsyncClient, host: str
) -> None:
    key = await gateway_key(ana)
    reply = await ask(people, "/api/kernels", Host=host, Authorization=f"token {key}")
    assert (reply.status_code, reply.json()["code"]) == (421, "host-unknown")


async def test_a_revoked_key_is_refused_at_once(people: People, ana: httpx.AsyncClient) -> None:
    workspace = await make(ana)
    made = (await ana.post(KEYS, json={"name": "p", "kind": "gateway"})).json()
    asked = {"Host": HOST, "Authorization": f"token {made['key']}"}
    assert caller(await ask(people, f"/w/{workspace}/api", **asked))
    await ana.delete(f"{KEYS}/{made['id']}")
    assert (await ask(people, f"/w/{workspace}/api", **asked)).json()["code"] == "key-invalid"


async def launched(services: Services, ana: httpx.AsyncClient, *, with_host: bool = True) -> str:
    """Launch a session; `with_host`: its shim has written what the host of its kernels needs."""
    await make(ana)
    session = str((await ana.post(f"{W}/churn/sessions", params={"wait": 5})).json()["id"])
    if with_host:
        grounds = services.settings.session_sockets / f"{session}.1" / "kernels.json"
        grounds.parent.mkdir(parents=True)
        grounds.touch()
    return session


@pytest.mark.parametrize("path", ["kernels", "kernels/k/channels", "sessions", "sessions/d", "kernelspecs"])
async def test_a_sessions_kernels_are_asked_of_their_host(
    people: People, services: Services, ana: httpx.AsyncClient, path: str
) -> None:
    session = await launched(services, ana)
    reply = await ask(people, f"/s/{session}/api/{path}", Host=HOST, Authorization=ana.headers["authorization"])
    found = caller(reply)
    assert (found["scope"], found["prefix"], found["origin"]) == (f"{session}.1", f"/s/{session}/", None)
    assert found["rights"] == ["see", "execute", "start"]
    assert reply.headers["x-studiolo-upstream"].endswith("kernels.sock")
    assert reply.headers["x-studiolo-secret"] == services.kernel_host.secret


@pytest.mark.parametrize("path", ["api/contents", "lab", "api/kernelspecs-of-mine", "api/terminals"])
async def test_all_else_is_asked_of_the_sessions_own_server(
    people: People, services: Services, ana: httpx.AsyncClient, path: str
) -> None:
    session = await launched(services, ana)
    reply = await ask(people, f"/s/{session}/{path}", Host=HOST, Authorization=ana.headers["authorization"])
    assert reply.status_code == 200
    assert "x-studiolo-kernels" not in reply.headers
    assert reply.headers["x-studiolo-secret"] != services.kernel_host.secret


async def test_a_session_of_an_earlier_version_keeps_its_own_kernels(
    people: People, services: Services, ana: httpx.AsyncClient
) -> None:
    session = await launched(services, ana, with_host=False)
    reply = await ask(people, f"/s/{session}/api/kernels", Host=HOST, Authorization=ana.headers["authorization"])
    assert reply.status_code == 200
    assert "x-studiolo-kernels" not in reply.headers


async def test_nobody_else_reaches_the_kernels_of_a_session(
    people: People, services: Services, ana: httpx.AsyncClient, leo: httpx.AsyncClient
) -> None:
    session = await launched(services, ana)
    await ana.put(f"{W}/churn/members", json={"person": "leo", "role": "editor"})
    reply = await ask(people, f"/s/{session}/api/kernels", Host=HOST, Authorization=leo.headers["authorization"])
    assert (reply.status_code, reply.json()["code"]) == (403, "denied")


async def test_a_browser_in_a_session_is_held_to_its_origin(
    people: People, services: Services, ana: httpx.AsyncClient
) -> None:
    session = await launched(services, ana)
    browser = Browser(people, await login(services, "ana"), services.cookies)
    origin = (await browser.enter(session)).partition("/s/")[0]
    url = f"{origin}/s/{session}/api/kernels"
    assert caller(await browser.ask(url))["origin"] == origin
    assert caller(await browser.ask(url, "POST", Origin=origin))["login"].startswith("l-")
    assert (await browser.ask(url, "POST", Origin="https://evil.example")).json()["code"] == "origin-mismatch"
    socket = {"Sec-WebSocket-Key": "k", "Origin": "https://evil.example"}
    assert (await browser.ask(f"{url}/k/channels", **socket)).json()["code"] == "origin-mismatch"


@pytest.mark.parametrize(
    "path", ["//api/kernels", "/api//kernels", "/./api/kernels", "/api%2fkernels", "/w/a%2f/b/api/kernels"]
)
async def test_an_odd_spelling_of_an_address_leads_to_no_host(
    people: People, ana: httpx.AsyncClient, path: str
) -> None:
    await make(ana)
    reply = await ask(people, path, Host=HOST, Authorization=f"token {await gateway_key(ana)}")
    assert reply.status_code in (403, 404), reply.text
    assert "x-studiolo-upstream" not in reply.headers
