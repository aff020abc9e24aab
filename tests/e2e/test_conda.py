"""`conda` in a notebook of a real platform: through the front door, our index and its policy, into the environment."""

import json
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import httpx
import pytest

from e2e.conftest import Platform
from e2e.kernels import channels, execute, start_kernel
from packages.conda.channels import index, make_package, make_python, python_module
from studiolo.testing.waiting import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
SECONDS = 120.0


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing: pytest shows what tests print."""


@pytest.fixture(scope="module")
def channel(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The channel `conda-forge` of the platform: seaborn needs matplotlib, client needs requests."""
    top = tmp_path_factory.mktemp("channel")
    folder = top / "forge"
    make_python(folder)
    for name, needs in {"matplotlib": [], "seaborn": ["matplotlib"], "requests": [], "client": ["requests"]}.items():
        files = python_module(name, "3.9")
        make_package(folder, name, "3.9", noarch="python", depends=["python", *needs], files=files)
    anyio.run(index, folder)
    named = json.loads(platform.variables["STUDIOLO_PACKAGES__CONDA_CHANNELS"])["conda-forge"]
    place = ("127.0.0.1", urlsplit(named).port or 0)
    with ThreadingHTTPServer(place, partial(_Quiet, directory=str(top))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def session(platform: Platform, channel: None) -> Iterator[str]:
    platform.run("create", "conda")
    yield platform.json("start", "conda")["id"]
    platform.run("delete", "conda", "--yes", "--stop-sessions")


@pytest.fixture(scope="module")
def client(platform: Platform) -> httpx.Client:
    return platform.client()


@pytest.mark.req("S0-57")
def test_what_the_guide_installs_by_conda_is_checked_and_installs(
    platform: Platform, client: httpx.Client, session: str
) -> None:
    with channels(client, session, start_kernel(client, session)) as socket:
        said = execute(socket, "!conda install -y -c conda-forge matplotlib seaborn", timeout=SECONDS)
        assert "installed  conda" in said, said
        assert "restart kernels" in said
    with channels(client, session, start_kernel(client, session)) as socket:
        code = "import sys, seaborn, matplotlib; print(seaborn.version, sys.prefix == sys.base_prefix)"
        assert execute(socket, code, timeout=SECONDS) == "3.9 True\n"

    def delivered() -> set[str]:
        events = client.get("/api/v1/jupyter/workspaces/conda/activity").json()["items"]
        return {one["target"] for one in events if one["action"] == "package.download"}

    wait_for(lambda: {"matplotlib", "seaborn", "python"} <= {name.partition(" ")[0] for name in delivered()}, "ledger")


@pytest.mark.req("S0-57")
@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("conda install -c https://elsewhere.test/evil seaborn", "is not trusted here"),
        ("conda install -c evil seaborn", "'evil' is not trusted here"),
        ("conda install client", "requests is blocked"),
    ],
)
def test_what_the_policy_refuses_is_refused_with_its_reason(
    client: httpx.Client, session: str, command: str, words: str
) -> None:
    with channels(client, session, start_kernel(client, session)) as socket:
        assert words in execute(socket, f"!{command}", timeout=SECONDS)


@pytest.mark.req("S0-61")
def test_conda_packages_are_installed_and_listed_from_the_command_line(platform: Platform, session: str) -> None:
    platform.run("create", "plots")
    installed = platform.run("jupyter", "install", "plots", "matplotlib", "--conda", program="ml", check=False)
    assert installed.returncode == 0, installed.stderr
    listed = {one["name"]: one["ecosystem"] for one in platform.json("packages", "plots")}
    assert listed["matplotlib"] == "conda"
    environment = Path(platform.data_dir, "environments", platform.json("info", "plots")["id"])
    assert (environment / "conda-meta").is_dir()
