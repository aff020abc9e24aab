"""configurable-http-proxy alone, with one route."""

import contextlib
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path

from _http import Client
from _peers import proxy_program
from _processes import clean_environment, running, wait_until

from studiolo.testing.ports import free_port


@contextlib.contextmanager
def configurable_http_proxy(path: str, upstream_port: int) -> Iterator[tuple[int, int]]:
    """Run it with `path` routed to an upstream on loopback; yields the port that it serves and its pid."""
    port, api_port, token = free_port(), free_port(), secrets.token_hex(16)
    argv = (
        str(proxy_program()),
        *("--ip", "127.0.0.1", "--port", str(port)),
        *("--api-ip", "127.0.0.1", "--api-port", str(api_port)),
    )
    api = Client(api_port, {"Authorization": f"token {token}"})
    env = clean_environment(CONFIGPROXY_AUTH_TOKEN=token)
    with (
        tempfile.TemporaryDirectory(prefix="studiolo-bench-proxy-") as folder,
        running(argv, log=Path(folder) / "proxy.log", env=env) as process,
    ):
        wait_until(lambda: api.answers("/api/routes"), "the proxy's answer")
        api.ask("POST", f"/api/routes{path}", {"target": f"http://127.0.0.1:{upstream_port}"})
        yield port, process.pid
