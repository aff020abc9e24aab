"""The front door's own log of requests, where an administrator wants one."""

import json
from collections.abc import Callable

import httpx

from studiolo.server.settings import Settings
from supervisor.front_door import StandIn, caddy, serving


async def test_each_request_is_a_line_with_its_id_and_none_of_its_secrets(
    make_settings: Callable[..., Settings],
) -> None:
    settings = make_settings(access_log=True)
    control = StandIn("control")
    address = f"http://127.0.0.1:{settings.port}"
    async with serving(control, settings.control_socket), caddy(settings), httpx.AsyncClient() as http:
        headers = {"host": f"localhost:{settings.port}", "authorization": "Bearer sto_tell-nobody"}
        reply = await http.get(f"{address}/api/v1/health?token=tell-nobody", headers=headers)
        assert reply.status_code == 200
    text = (settings.data_dir / "caddy.log").read_text()
    (line,) = [json.loads(line) for line in text.splitlines() if "handled request" in line]
    assert (line["status"], line["request"]["method"]) == (200, "GET")
    assert line["request_id"] == control.seen[-1].header("x-request-id")
    assert "tell-nobody" not in text
