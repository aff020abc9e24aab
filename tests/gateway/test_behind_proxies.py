"""The gateway behind nginx and haproxy: nothing but plain proxying of HTTP and websockets is asked of them."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from gateway.proxies import running_proxy
from gateway.standing import KEY, SECONDS, Gateway, running_gateway, send


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    with running_gateway("--base-url", "/kernels") as running:
        yield running


@pytest.fixture(params=["nginx", "haproxy"])
def proxied(request: pytest.FixtureRequest, gateway: Gateway, tmp_path: Path) -> Iterator[Gateway]:
    """The same gateway, at a proxy's address."""
    behind = httpx.URL(gateway.url)
    with running_proxy(request.param, behind.netloc.decode(), tmp_path / "proxy") as port:
        url = str(behind.copy_with(port=port)).rstrip("/")
        with httpx.Client(base_url=url, headers={"Authorization": f"token {KEY}"}, timeout=SECONDS) as http:
            yield replace(gateway, url=url, http=http)


@pytest.mark.req("S1-17", "S1-18")
def test_kernels_are_used_through_a_web_servers_one_port(proxied: Gateway) -> None:
    first, second = proxied.start(), proxied.start(name="python3")
    assert {one["id"] for one in proxied.http.get("/api/kernels").json()} >= {first, second}
    assert send(proxied, first, "x = 6 * 7") == ""
    assert send(proxied, second, "print('x' in globals())") == "False\n"
    # Also what is longer than any buffer on the way, in both directions.
    assert send(proxied, first, f"print(x, len({'a' * 2**21!r})); print('b' * 2**21)") == f"42 {2**21}\n{'b' * 2**21}\n"
    assert proxied.http.post(f"/api/kernels/{first}/restart").status_code == 200
    assert send(proxied, first, "print('x' in globals())") == "False\n"
    for kernel in (first, second):
        assert proxied.http.delete(f"/api/kernels/{kernel}").status_code == 204


@pytest.mark.req("S1-17")
def test_a_key_is_asked_for_behind_a_web_server_too(proxied: Gateway) -> None:
    kernel = proxied.start()
    assert httpx.get(f"{proxied.url}/api/kernels").status_code == 401
    with (
        pytest.raises(InvalidStatus) as refused,
        connect(f"{proxied.websocket_url}/api/kernels/{kernel}/channels", open_timeout=SECONDS),
    ):
        pass
    assert refused.value.response.status_code == 401
    proxied.http.delete(f"/api/kernels/{kernel}")
