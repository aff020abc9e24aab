"""Jupyter's own API of kernels through the front door: asked about, carried, and nothing of the key carried on."""

import pytest
import websockets

from studiolo.server.kernels.places import find_place
from supervisor.conftest import Door

KERNEL = "0b0e3c5e-6f0c-4a53-9d1e-1c6c6f1b6a11"
CARRIED = (
    "/api",
    "/api/status",
    "/api/me",
    "/api/swagger.yaml",
    "/api/kernelspecs",
    f"/api/kernels/{KERNEL}",
    f"/api/kernels/{KERNEL}/journal?after=3",
    "/api/sessions",
    "/kernelspecs/python3/logo-64x64.png",
    "/w/ana~churn/api/kernels",
    "/w/w-0123456789abcdef/kernelspecs/python3/logo-64x64.png",
)
OURS = ("/api/v1/kernels", "/w/churn", "/w/churn/settings", "/w/apis/x", "/kernels", f"/kernels/{KERNEL}", "/apis")


@pytest.mark.parametrize("path", CARRIED)
async def test_kernels_api_is_asked_about_and_carried_to_the_host(door: Door, path: str) -> None:
    door.allow(**{"x-studiolo-kernels": "caller"})
    reply = await door.http.get(path, headers={"X-Studiolo-Kernels": "forged"})
    assert reply.json() == {"by": "session"}
    assert find_place(path.partition("?")[0]) is not None
    assert door.questions[0].header("x-forwarded-uri") == path
    assert door.session.seen[-1].header("x-studiolo-kernels") == "caller"


@pytest.mark.parametrize("path", OURS)
async def test_what_only_looks_like_it_is_the_platforms(door: Door, path: str) -> None:
    assert (await door.http.get(path)).json() == {"by": "control"}
    assert not door.questions
    assert path.startswith("/kernels/") or find_place(path) is None


@pytest.mark.req("S1-X06")
async def test_interrupt_and_restart_without_api_before_them_go_to_the_host_with_a_key(door: Door) -> None:
    for verb in ("interrupt", "restart"):
        path = f"/kernels/{KERNEL}/{verb}"
        assert (await door.http.post(path)).json() == {"by": "control"}
        assert (await door.http.post(path, headers={"Authorization": "token K"})).json() == {"by": "session"}
        assert find_place(path) is not None


async def test_the_key_is_asked_about_and_carried_no_further(door: Door) -> None:
    door.allow()
    await door.http.get("/api/kernels?token=stg_x&a=1", headers={"Authorization": "token K", "Cookie": "a=b"})
    assert door.questions[0].header("x-forwarded-uri") == "/api/kernels?token=stg_x&a=1"
    assert door.questions[0].header("authorization") == "token K"
    seen = door.session.seen[-1]
    assert seen.query == "a=1"
    assert seen.header("authorization") is None


async def test_an_answer_without_a_caller_lets_no_clients_own_through(door: Door) -> None:
    await door.http.options("/api/kernels", headers={"X-Studiolo-Kernels": "forged", "X-Studiolo-Secret": "forged"})
    assert door.session.seen[-1].header("x-studiolo-kernels") is None
    assert door.session.seen[-1].header("x-studiolo-secret") == "of-launch"


async def test_a_kernels_websocket_is_carried_and_asked_about_once(door: Door) -> None:
    url = f"ws://localhost:{door.settings.port}/api/kernels/{KERNEL}/channels?token=stg_x"
    async with websockets.connect(url, proxy=None) as socket:
        await socket.send("hello")
        assert await socket.recv() == "hello"
    assert len(door.questions) == 1
    assert door.session.seen[-1].query == ""


async def test_a_host_that_is_away_is_named(door: Door) -> None:
    door.allow(**{"x-studiolo-upstream": f"unix/{door.settings.runtime_dir}/nobody.sock"})
    reply = await door.http.get("/w/churn/api/kernels")
    assert (reply.status_code, reply.json()["code"]) == (502, "kernel-host-unavailable")


async def test_a_gateway_key_in_an_address_stands_in_no_log(door: Door) -> None:
    door.allow(**{"x-studiolo-upstream": f"unix/{door.settings.runtime_dir}/nobody.sock"})
    await door.http.get("/api/kernels?token=stg_secret")
    log = (door.settings.data_dir / "caddy.log").read_text()
    assert "stg_secret" not in log


@pytest.mark.parametrize("path", ["/api/kernels/%2f", "/api/kernels//", f"/api/kernels/{KERNEL}%2frestart"])
async def test_an_odd_address_is_carried_as_it_stands(door: Door, path: str) -> None:
    await door.http.post(path, headers={"Authorization": "token K"})
    assert door.questions[0].header("x-forwarded-uri") == path
    assert door.session.seen[-1].path == path
