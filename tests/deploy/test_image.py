"""The images of deploy/images, made and run by Podman as the compose files say: a launch, JupyterLab, a cell."""

import asyncio
import contextlib
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from base_environments import small_lock
from deploy.files import service
from deploy.images import TRUST, build, call, session_image
from e2e.kernels import channels, execute, start_kernel
from engines.container.bench import Cable
from engines.container.conftest import podman
from studiolo.engines.container.configuration import INSTANCE
from studiolo.server.settings import Settings
from studiolo.testing.ports import free_port

__all__ = ["podman", "session_image"]
pytestmark = [
    pytest.mark.engine,
    pytest.mark.engine_podman,
    pytest.mark.e2e,
    # Two images are made, of packages from an index.
    pytest.mark.timeout(1500),
]
IMAGE = "localhost/studiolo-platform:deploy-test"
W, S = "/api/v1/jupyter/workspaces", "/api/v1/jupyter/sessions"


@pytest.fixture(scope="module")
def image(session_image: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The platform's image, made from the tests' Debian; STUDIOLO_TEST_PLATFORM_IMAGE names one that is there."""
    if ready := os.environ.get("STUDIOLO_TEST_PLATFORM_IMAGE"):
        return ready
    base = f"SESSION={session_image}"
    return build("platform/Containerfile", IMAGE, base, tmp_path_factory.getbasetemp() / "uv", seconds=300)


class Container:
    """The platform in a container, with what a service of the compose files says."""

    def __init__(self, said: dict[str, Any], **variables: str) -> None:
        self.name = f"studiolo-deploy-{uuid4().hex[:8]}"
        self.said = said
        self.address = f"http://localhost:{said['environment']['STUDIOLO_PORT']}"
        lock = small_lock()
        given = {
            **said["environment"],
            "STUDIOLO_ENVIRONMENTS__LOCK_FILE": str(lock),
            "SSL_CERT_FILE": str(TRUST / "ca-certificates.crt"),
            **variables,
        }
        volumes = [*(said["volumes"]), f"{lock}:{lock}:ro", f"{TRUST}:{TRUST}:ro"]
        volumes = [
            volume.replace("data:", f"{self.name}:") if volume.startswith("data:") else volume for volume in volumes
        ]
        self._words: list[object] = [
            *("--name", self.name, "--shm-size", said["shm_size"].replace("gb", "g")),
            *(word for port in said["ports"] for word in ("--publish", port)),
            *(word for name, value in given.items() for word in ("--env", f"{name}={value}")),
            *(word for volume in volumes for word in ("--volume", volume)),
            *(word for right in said["cap_drop"] for word in ("--cap-drop", right)),
            *(word for option in said["security_opt"] for word in ("--security-opt", option.removesuffix(":true"))),
        ]

    def up(self) -> None:
        """Start it and wait until its own check of health passes."""
        call("run", "--detach", *self._words, self.said["image"])
        until = time.monotonic() + 300
        while not self._is_healthy():
            assert call("inspect", "--format", "{{.State.Running}}", self.name) == "true", self._log()
            assert time.monotonic() < until, self._log()
            time.sleep(0.5)

    def _log(self) -> str:
        argv = ["podman", "logs", self.name]
        return subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False).stdout

    def _is_healthy(self) -> bool:
        check = self.said["healthcheck"]["test"]
        assert check[0] == "CMD"
        argv = ["podman", "exec", self.name, *check[1:]]
        return subprocess.run(argv, capture_output=True, timeout=60, check=False).returncode == 0

    def client(self) -> httpx.Client:
        """A client with a key of the administrator."""
        key = call("exec", self.name, "studiolo", "keys", "create", "--name", "test", "--quiet")
        return httpx.Client(base_url=self.address, headers={"Authorization": f"Bearer {key}"}, timeout=120)

    def stop(self) -> int:
        """Stop it as its service says; returns how it ended."""
        call("stop", "--time", self.said["stop_grace_period"].removesuffix("s"), self.name)
        return int(call("inspect", "--format", "{{.State.ExitCode}}", self.name))

    def remove(self) -> None:
        """Remove what is left of it, with its volume."""
        for words in (("rm", "--force", "--volumes", self.name), ("volume", "rm", "--force", self.name)):
            subprocess.run(["podman", *words], capture_output=True, timeout=120, check=False)


def launch(client: httpx.Client, workspace: str) -> str:
    """Make a workspace and start a session in it; returns its id once JupyterLab has answered."""
    assert client.post(W, json={"name": workspace}).status_code == 201
    reply = client.post(S, json={"workspace": workspace}, params={"wait": 60})
    session = reply.json()
    until = time.monotonic() + 300
    while session["state"] == "starting" and time.monotonic() < until:
        session = client.get(f"{S}/{session['id']}", params={"wait": 60}).json()
        time.sleep(0.2)
    assert session["state"] == "running", session
    page = client.get(f"/s/{session['id']}/lab")
    assert page.status_code == 200
    assert "jupyter-config-data" in page.text
    return str(session["id"])


@pytest.mark.req("S1-10", "S1-41")
def test_the_platform_runs_in_its_image_and_its_sessions_with_it(image: str) -> None:
    port = str(free_port())
    container = Container(service("compose.yaml", STUDIOLO_PORT=port, STUDIOLO_IMAGE=image))
    try:
        container.up()
        with container.client() as client:
            session = launch(client, "boxed")
            with channels(client, session, start_kernel(client, session)) as kernel:
                assert execute(kernel, "import os; print(os.getuid(), os.getcwd())").startswith(
                    "1000 /data/workspaces/"
                )
                rights = "print(*[line.split()[1] for line in open('/proc/self/status') if line[:6] in ('CapEff', 'NoNewP')])"
                assert execute(kernel, rights).split() == ["0000000000000000", "1"]
            link = call("exec", container.name, "studiolo", "sign-in-link")
            assert link.startswith(f"{container.address}/sign-in?link=")
        assert container.stop() == 0
    finally:
        container.remove()


@contextlib.contextmanager
def daemon_for_all(podman: str) -> Iterator[Path]:
    """A socket of the daemon that account 1000 may use, as a group's membership would let it."""
    with tempfile.TemporaryDirectory(prefix="st-", dir="/tmp") as folder:
        cable, loop = Cable(Path(folder, "daemon.sock"), podman.removeprefix("unix://")), asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        try:
            asyncio.run_coroutine_threadsafe(cable.plug_in(), loop).result(30)
            Path(folder).chmod(0o755)
            cable.near.chmod(0o666)
            yield cable.near
        finally:
            asyncio.run_coroutine_threadsafe(cable.pull_out(), loop).result(30)
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to account 1000")
def test_beside_the_daemon_sessions_outlive_the_platforms_container(image: str, podman: str) -> None:
    port = str(free_port())
    with tempfile.TemporaryDirectory(prefix="st-", dir="/tmp") as folder, daemon_for_all(podman) as socket:
        os.chown(folder, 1000, 1000)
        chosen = {
            "STUDIOLO_PORT": port,
            "STUDIOLO_IMAGE": image,
            "STUDIOLO_FOLDER": folder,
            "DOCKER_SOCKET": str(socket),
        }
        container = Container(service("compose.yaml", "containers.yaml", STUDIOLO_PULL="never", **chosen))
        try:
            container.up()
            with container.client() as client:
                session = launch(client, "beside")
                kernel_id = start_kernel(client, session)
                with channels(client, session, kernel_id) as kernel:
                    assert (
                        execute(kernel, "import os; kept = os.getuid(); print(kept, os.listdir('/workspace') != [])")
                        == "1000 True\n"
                    )
                assert container.stop() == 0
                call("rm", container.name)
                container.up()
                with channels(client, session, kernel_id) as kernel:
                    assert execute(kernel, "print(kept)") == "1000\n"
                assert client.post(f"{S}/{session}/stop", params={"wait": 60}).json()["state"] in (
                    "stopping",
                    "stopped",
                )
                assert container.stop() == 0
        finally:
            container.remove()
            # A session's container goes on, whatever became of the platform's.
            mine = f"label={INSTANCE}={Settings(data_dir=Path(folder, 'data')).instance}"
            for left in call("ps", "--all", "--quiet", "--filter", mine).split():
                call("rm", "--force", "--time", "1", left)
