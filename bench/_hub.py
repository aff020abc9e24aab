"""JupyterHub as its documentation starts it on one machine: simple spawner, dummy sign-in, its own proxy."""

import contextlib
import os
import secrets
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil
from _http import Client
from _peers import jupyter_programs, proxy_program
from _processes import clean_environment, descendants, running, wait_until

from studiolo.testing.ports import free_port

_PERSON = "ana"
# The launch call answers when the server runs; this is only for the page, which comes at once then.
_POLL_SECONDS = 0.01


class Hub:
    """A running JupyterHub. Servers have names, as our sessions do."""

    def __init__(self, client: Client, pid: int, headers: Mapping[str, str]) -> None:
        self._client = client
        self.pid = pid
        self.port = client.port
        self.headers = {"Host": f"127.0.0.1:{client.port}", **headers}

    def launch(self, name: str) -> None:
        """Launch a server and return once its JupyterLab has answered 200 through the proxy."""
        # The hub holds this call until the server runs (for at most ten seconds, then answers 202).
        reply = self._client.ask("POST", f"/hub/api/users/{_PERSON}/servers/{name}")
        if reply.status not in (201, 202):
            raise SystemExit(f"error: JupyterHub answered a launch with {reply.status}: {reply.body[:500]!r}")
        self._client.await_200(f"/user/{_PERSON}/{name}/lab", pause=_POLL_SECONDS)

    def stop(self, name: str) -> None:
        """Stop a server and wait until it is gone."""
        self._client.ask("DELETE", f"/hub/api/users/{_PERSON}/servers/{name}", {"remove": True})

        def is_gone() -> bool:
            return name not in self._client.ask("GET", f"/hub/api/users/{_PERSON}").json["servers"]

        wait_until(is_gone, f"the end of the server {name}")

    def servers(self) -> list[psutil.Process]:
        """Return the processes of the single-user servers."""
        return [one for one in descendants(self.pid) if "jupyterhub-singleuser" in " ".join(one.cmdline())]


@contextlib.contextmanager
def jupyterhub(people: int = 0) -> Iterator[Hub]:
    """Run a JupyterHub for the length of a block; it knows users person-0, person-1, … from its start."""
    with tempfile.TemporaryDirectory(prefix="studiolo-bench-hub-", ignore_cleanup_errors=True) as name:
        folder, port, token = Path(name), free_port(), secrets.token_hex(16)
        config = folder / "jupyterhub_config.py"
        config.write_text(_config(folder, port, token, people))
        programs = jupyter_programs()
        path = f"{programs}{os.pathsep}{os.environ['PATH']}"
        argv = (programs / "jupyterhub", "--config", config)
        env = clean_environment(PATH=path, HOME=str(folder))
        headers = {"Authorization": f"token {token}"}
        client = Client(port, headers)
        with running(argv, log=folder / "hub.log", env=env, cwd=folder) as process:
            wait_until(lambda: client.answers("/hub/api/"), "JupyterHub's answer", seconds=300)
            client.ask("POST", f"/hub/api/users/{_PERSON}").json  # noqa: B018 ends the benchmark unless it is made
            yield Hub(client, process.pid, headers)


def _config(folder: Path, port: int, token: str, people: int) -> str:
    arguments = ["--allow-root"] if os.getuid() == 0 else []
    scopes = ["admin:users", "admin:servers", "access:servers", "list:users", "read:users"]
    return f"""
c.JupyterHub.bind_url = "http://127.0.0.1:{port}"
c.JupyterHub.hub_bind_url = "http://127.0.0.1:{free_port()}"
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{free_port()}"
c.ConfigurableHTTPProxy.command = ["{proxy_program()}"]
c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = "{folder}/{{username}}"
c.Spawner.default_url = "/lab"
c.Spawner.args = {arguments}
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True
c.Authenticator.allowed_users = {{f"person-{{number}}" for number in range({people})}}
c.JupyterHub.allow_named_servers = True
c.JupyterHub.services = [{{"name": "benchmark", "api_token": "{token}"}}]
c.JupyterHub.load_roles = [{{"name": "benchmark", "scopes": {scopes}, "services": ["benchmark"]}}]
"""
