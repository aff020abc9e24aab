"""What no client of ours sends: every answer is a refusal with a code, and none is a fault."""

import httpx
import pytest

from server.conftest import People, eventually
from studiolo.kit.cursors import write_cursor
from studiolo.server.services import Services

V = "/api/v1"
W = f"{V}/jupyter/workspaces"
JSON = {"Content-Type": "application/json"}


@pytest.fixture
async def churn(ana: httpx.AsyncClient) -> str:
    await ana.post(W, json={"name": "churn"})

    async def is_ready() -> bool:
        return bool((await ana.get(f"{W}/churn")).json()["environment"]["state"] == "ready")

    await eventually(is_ready)
    return f"{W}/churn"


def refusal(reply: httpx.Response) -> tuple[int, str]:
    assert reply.headers["content-type"] == "application/problem+json"
    assert "Traceback" not in reply.text
    return reply.status_code, reply.json()["code"]


@pytest.mark.parametrize("number", [2**63, 10**30])
async def test_a_number_larger_than_any_is_refused(ana: httpx.AsyncClient, churn: str, number: int) -> None:
    builds = f"{churn}/environment/builds/{number}"
    for reply in (
        await ana.get(builds),
        await ana.get(f"{builds}/progress"),
        await ana.delete(builds),
        await ana.get(f"{churn}/environment/lock", params={"build": number}),
        await ana.get(f"{churn}/environment/difference", params={"before": number, "after": 1}),
        await ana.post(f"{churn}/environment/rollback", json={"to": number}),
    ):
        assert refusal(reply) == (422, "request-invalid")


@pytest.mark.parametrize(
    "at", ["2026-01-01T00:00:00", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "yesterday", "\0"]
)
async def test_a_cursor_with_a_time_that_is_none_of_ours_is_refused(
    admin: httpx.AsyncClient, churn: str, at: str
) -> None:
    cursor = write_cursor(at, "x")
    for path in ("notifications", "invitations", "kernels", "jupyter/requests", "jupyter/sessions"):
        reply = await admin.get(f"{V}/{path}", params={"cursor": cursor})
        assert refusal(reply) == (422, "cursor-invalid"), path


async def test_no_body_may_hold_a_nul_byte_or_half_a_character(ana: httpx.AsyncClient, churn: str) -> None:
    for reply in (
        await ana.patch(churn, content=b'{"description": "\\ud800"}', headers=JSON),
        await ana.patch(churn, json={"description": "a\0b"}),
        await ana.post(f"{churn}/shares", json={"path": "nul\0"}),
        await ana.post(f"{churn}/packages/check", json={"packages": ["numpy", "\0"]}),
        await ana.post(f"{churn}/scale", json={"resources": {"image": "a\0"}}),
    ):
        assert refusal(reply) == (422, "request-invalid")
        assert "NUL" in reply.json()["detail"]


@pytest.mark.parametrize("address", ["?q=a%00b", "/x%00", "/churn/files/search?q=a%00b", "/churn/files?path=%00"])
async def test_no_address_may_hold_a_nul_byte(ana: httpx.AsyncClient, churn: str, address: str) -> None:
    reply = await ana.get(f"{W}{address}")
    assert refusal(reply) == (422, "request-invalid")
    assert reply.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 100_000, b'{"a":' * 50_000, b"\xff\xfe"])
async def test_a_body_that_cannot_be_read_is_refused(ana: httpx.AsyncClient, body: bytes) -> None:
    reply = await ana.post(W, content=body, headers=JSON)
    assert refusal(reply) == (422, "request-invalid")
    assert len(reply.json()["detail"]) > len("Bad Request.")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "x" * 300])
async def test_a_body_of_another_type_is_refused_with_the_type_to_send(ana: httpx.AsyncClient, kind: str) -> None:
    reply = await ana.post(W, content=b'{"name": "churn"}', headers={"Content-Type": kind})
    assert refusal(reply) == (422, "request-invalid")
    assert "application/json" in reply.json()["hint"]


async def test_another_method_is_told_all_that_there_are(ana: httpx.AsyncClient, churn: str) -> None:
    reply = await ana.put(churn, json={})
    assert refusal(reply) == (405, "method-not-allowed")
    assert reply.headers["allow"] == "DELETE, GET, PATCH"


async def test_a_package_or_kernelspec_of_a_name_that_none_has_is_refused(ana: httpx.AsyncClient, churn: str) -> None:
    for reply in (
        await ana.post(f"{churn}/packages/check", json={"packages": ["x" * 100_000]}),
        await ana.post(f"{churn}/packages", json={"packages": ["x" * 100_000]}),
        await ana.get(f"{churn}/packages/conda/{'x' * 9000}"),
        await ana.delete(f"{V}/workspaces/churn/kernelspecs/{'x' * 9000}"),
        await ana.delete(f"{V}/workspaces/churn/kernelspecs/%0A"),
    ):
        assert refusal(reply) == (422, "request-invalid")


@pytest.mark.parametrize("until", ["9999-12-31", "9999-12-31T23:59:59-01:00", "0001-01-01T00:00:00+14:00"])
async def test_a_policy_that_ends_after_all_days_is_refused(admin: httpx.AsyncClient, until: str) -> None:
    document = (
        "package_management:\n  exceptions:\n"
        f'    - {{spec: "numpy", until: "{until}", reason: "the course needs it", by: "ana"}}\n'
    )
    reply = await admin.put(f"{V}/jupyter/policy", json={"document": document})
    assert refusal(reply) == (422, "policy-invalid")


async def test_the_description_says_where_a_key_is_needed(people: People) -> None:
    nobody = people.anonymous()
    described = (await nobody.get(f"{V}/openapi.json")).json()
    assert described["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            address = path.replace("{number}", "1")
            reply = await nobody.request(method, address)
            is_open = reply.status_code != 401
            assert (operation["security"] == []) is is_open, (method, path, reply.status_code)


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-01-01T00:00:00", "now"])
async def test_a_session_tells_no_time_that_there_is_not(
    ana: httpx.AsyncClient, churn: str, services: Services, at: str
) -> None:
    started = await ana.post(f"{V}/jupyter/sessions", json={"workspace": "churn"}, params={"wait": 5})
    session = started.json()["id"]
    headers = {"Authorization": f"Bearer {services.session_secrets.api_key(session, 1)}"}
    for name in ("last_active_at", "notebook_at"):
        reply = await ana.post(f"{V}/sessions/{session}/report", json={name: at}, headers=headers)
        assert refusal(reply) == (422, "request-invalid")
    told = {"id": "a4fc164a-e1a3-4dc1-aed0-bfddfa8bd8e4", "exit": {"reason": "died", "message": "", "at": at}}
    reply = await ana.post(f"{V}/sessions/{session}/kernels/ended", json=told, headers=headers)
    assert refusal(reply) == (422, "request-invalid")


async def test_an_id_of_another_workspace_is_answered_as_one_that_never_was(
    ana: httpx.AsyncClient, leo: httpx.AsyncClient, churn: str
) -> None:
    mine = (await leo.post(W, json={"name": "mine"})).json()["id"]
    share = (await ana.post(f"{churn}/shares", json={"path": "a.csv"})).json()["id"]
    started = await ana.post(f"{V}/jupyter/sessions", json={"workspace": "churn"}, params={"wait": 5})
    session = started.json()["id"]
    for method, path, theirs in (
        ("DELETE", f"{W}/{mine}/shares/", share),
        ("GET", f"{V}/jupyter/sessions/", session),
        ("DELETE", f"{V}/jupyter/sessions/", session),
        ("GET", f"{W}/", (await ana.get(churn)).json()["id"]),
    ):
        absent = f"{theirs[:2]}{'0' * 16}"
        told, expected = [(await leo.request(method, f"{path}{one}")) for one in (theirs, absent)]
        assert told.status_code == 404
        members = [reply.json() | {"request_id": None} for reply in (told, expected)]
        assert members[0] == {name: _with(value, absent, theirs) for name, value in members[1].items()}


def _with(value: object, old: str, new: str) -> object:
    return value.replace(old, new) if isinstance(value, str) else value
