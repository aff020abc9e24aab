"""Sessions whose servers have paths, names and credentials of their own, as a JupyterHub's have."""

import asyncio
import contextlib
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import uvicorn
import websockets

from studiolo.server.relay import Relay
from studiolo.testing.ports import free_port
from supervisor.conftest import Door
from supervisor.front_door import StandIn, caddy

ANSWER = {
    "x-studiolo-front-uri": "/user/ana/lab-1/api/contents/a%20%C3%BC%25?type=file&x=%3F",
    "x-studiolo-front-authorization": "token of-the-server",
    "x-studiolo-front-host": "hub.test",
    "x-studiolo-front-origin": "https://hub.test",
}


@contextlib.asynccontextmanager
async def serving_tls(app: StandIn, folder: Path) -> AsyncIterator[tuple[int, Path]]:
    """Serve an application behind TLS on a port of 127.0.0.1; yields the port and the certificate."""
    certificate, key, port = folder / "hub.pem", folder / "hub.key", free_port()
    argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    argv += [
        "-subj",
        "/CN=hub",
        "-addext",
        "subjectAltName=IP:127.0.0.1",
        "-keyout",
        str(key),
        "-out",
        str(certificate),
    ]
    await asyncio.to_thread(subprocess.run, argv, check=True, capture_output=True)
    config = uvicorn.Config(
        app,
        port=port,
        ssl_certfile=certificate,
        ssl_keyfile=key,
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="websockets-sansio",
    )
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.005)
    try:
        yield port, certificate
    finally:
        server.should_exit = server.force_exit = True
        await task


async def test_a_fronted_server_is_asked_by_its_own_path_name_and_credential(door: Door) -> None:
    door.allow(**ANSWER)
    headers = {"authorization": "Bearer key", "studiolo-session-password": "word", "origin": "http://page.test"}
    await door.http.post("/s/s-1/api/contents/x?type=file", content=b"body", headers=headers)
    seen = door.session.seen[0]
    assert (seen.method, seen.body) == ("POST", b"body")
    assert f"{seen.path}?{seen.query}" == ANSWER["x-studiolo-front-uri"]
    assert seen.header("host") == "hub.test"
    assert seen.header("origin") == "https://hub.test"
    assert seen.header("authorization") == "token of-the-server"
    assert not [name for name in seen.headers if name.startswith(("x-studiolo", "studiolo"))]


async def test_a_path_that_is_the_servers_own_is_carried_as_it_was_written(door: Door) -> None:
    door.allow(**{name: value for name, value in ANSWER.items() if name != "x-studiolo-front-uri"})
    path = "/user/ana/lab-1/api/contents/a%2Fb%20%C3%BC?x=%3F"
    await door.http.get(path, headers={"host": f"s-0123456789abcdef.localhost:{door.settings.port}"})
    seen = door.session.seen[0]
    assert f"{seen.path}?{seen.query}" == path


async def test_a_fronted_server_that_no_page_asks_sees_no_origin(door: Door) -> None:
    door.allow(**ANSWER)
    await door.http.get("/s/s-1/api/contents/x")
    assert door.session.seen[0].header("origin") is None


async def test_what_a_client_says_of_fronts_is_not_believed(door: Door) -> None:
    await door.http.get("/s/s-1/lab", headers={**ANSWER, "x-studiolo-front-tls": "1"})
    seen = door.session.seen[0]
    assert (seen.path, seen.header("authorization")) == ("/s/s-1/lab", None)
    assert not [name for name in seen.headers if name.startswith("x-studiolo-front")]


async def test_a_websocket_of_a_fronted_server_is_carried_until_its_login_ends(
    door: Door, short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub, relay = StandIn("hub"), Relay(door.settings.relay_socket)
    host = f"s-0123456789abcdef.localhost:{door.settings.port}"
    url = f"ws://{host}/user/ana/lab-1/api/kernels/k/channels?session_id=x%3F&token=old"
    forged = {"Studiolo-Relay-To": "127.0.0.1:1", "Studiolo-Relay-Login": "l-2"}
    async with serving_tls(hub, short_folder) as (port, certificate), relay.serving():
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        whose = {"x-studiolo-front-session": "s-1", "x-studiolo-login": "l-1"}
        where = {"x-studiolo-upstream": f"127.0.0.1:{port}", "x-studiolo-front-tls": "1"}
        door.allow(
            **{name: value for name, value in ANSWER.items() if name != "x-studiolo-front-uri"}, **where, **whose
        )
        async with websockets.connect(
            url,
            host="127.0.0.1",
            origin="http://page.test",  # type: ignore[arg-type]
            additional_headers=forged,
            proxy=None,
        ) as socket:
            await socket.send("one")
            assert await socket.recv() == "one"
            relay.close("s-1", {"l-1"})
            with pytest.raises(websockets.ConnectionClosed):
                await asyncio.wait_for(socket.recv(), 5)
    seen = hub.seen[0]
    assert seen.header("authorization") == "token of-the-server"
    assert (seen.header("origin"), seen.header("host")) == ("https://hub.test", "hub.test")
    assert (seen.path, seen.query) == ("/user/ana/lab-1/api/kernels/k/channels", "session_id=x%3F")
    assert not [name for name in seen.headers if "studiolo" in name]


async def test_a_fronted_server_behind_tls_is_reached_and_its_certificate_checked(
    door: Door, short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = StandIn("hub")
    async with serving_tls(hub, short_folder) as (port, certificate):
        door.allow(**ANSWER, **{"x-studiolo-upstream": f"127.0.0.1:{port}", "x-studiolo-front-tls": "1"})
        # The machine's own authorities have not signed it.
        assert (await door.http.get("/s/s-1/lab")).status_code == 502
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        settings = door.settings.model_copy(update={"port": free_port()})
        async with caddy(settings), httpx.AsyncClient(trust_env=False, verify=ssl.create_default_context()) as http:
            reply = await http.get(f"http://127.0.0.1:{settings.port}/s/s-1/lab", headers={"host": "localhost"})
    assert reply.json() == {"by": "hub"}
    assert hub.seen[0].header("host") == "hub.test"
