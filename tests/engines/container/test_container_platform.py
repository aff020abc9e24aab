"""A whole platform whose sessions run in containers: in a browser, by websocket and from the command line."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name
from playwright.sync_api import Browser

from base_environments import small_lock
from e2e.conftest import Platform
from e2e.headless import outlive_the_platform
from e2e.kernels import channels, execute, start_kernel
from e2e.outliving import outlive_server_and_platform
from e2e.test_modes import enter, run_a_cell
from studiolo.testing.waiting import wait_for

pytestmark = [
    pytest.mark.engine,
    pytest.mark.engine_podman,
    pytest.mark.e2e,
    pytest.mark.browser,
    pytest.mark.timeout(400),
]

# Its store is the one that the variables of scripts/engines/podman.sh name.
BIN_PODMAN = "podman"
# The platform, asked by a program inside with the session's own key, and by pip.
ASK_PLATFORM = """
import os, pathlib, urllib.request
bearer = {'Authorization': 'Bearer ' + pathlib.Path(os.environ['STUDIOLO_KEY_FILE']).read_text()}
request = urllib.request.Request(os.environ['STUDIOLO_URL'] + '/api/v1/jupyter/workspaces', headers=bearer)
print(os.getuid(), len(os.listdir('/workspace')) > 0, urllib.request.urlopen(request).status)
"""


@pytest.fixture
def platform(tmp_path: Path, podman: str) -> Iterator[Platform]:
    """A platform that has containers for sessions that name no engine."""
    made = Platform(
        tmp_path,
        lock=small_lock(),
        STUDIOLO_ENGINES__DEFAULT="container",
        STUDIOLO_ENGINES__CONTAINER__URL=podman,
        # A machine full of other tests.
        STUDIOLO_ENGINES__CONTAINER__CALL_SECONDS="60",
        STUDIOLO_ENGINES__CONTAINER__IMAGE=os.environ["STUDIOLO_TEST_PODMAN_IMAGE"],
    )
    made.up()
    yield made
    made.down()


@pytest.mark.req("S4-67", "S4-86", "S4-101", "S4-105")
def test_a_notebook_runs_in_a_container_from_the_browser_and_ends_with_its_session(
    platform: Platform, chromium: Browser
) -> None:
    def isolation() -> bool:
        return any(one["name"] == "container" and one["isolation"] == "L3" for one in platform.json("engines"))

    wait_for(isolation, "the engine knows what its daemon holds to", 120)
    context = chromium.new_context()
    page = enter(context, platform, "boxed")
    run_a_cell(page)
    session = next(part for part in page.url.replace("/", ".").split(".") if part.startswith("s-"))
    context.close()
    client = platform.client()
    with channels(client, session, start_kernel(client, session)) as kernel:
        assert execute(kernel, ASK_PLATFORM).split() == [str(os.geteuid() or 60100), "True", "200"]
        said = execute(kernel, "!pip install --dry-run requests; echo $PIP_INDEX_URL", timeout=120)
        assert "/pypi/simple/" in said
        assert "Connection refused" not in said
    platform.run("stop", "boxed")
    folder = platform.data_dir / "engines/container" / session
    wait_for(lambda: (folder / "1/exit.json").exists(), "the container has ended", 60)


def test_a_kernel_in_a_container_outlives_its_server_and_the_platform_and_loses_no_output(platform: Platform) -> None:
    platform.run("create", "kept")
    platform.run("start", "kept")
    outlive_server_and_platform(platform, "kept", "engines/container/{}/1/files")


@pytest.mark.req("S1-03", "S1-X03", "S1-X05")
def test_a_headless_kernel_runs_in_a_container_and_outlives_the_platform(platform: Platform) -> None:
    platform.run("create", "apart")
    outlive_the_platform(platform, "apart", "container")


def test_an_image_of_an_environment_is_made_through_the_platform_and_sessions_run_in_it(platform: Platform) -> None:
    platform.run("create", "boxes")
    client = platform.client()
    wait_for(lambda: platform.json("environment", "boxes")["build"], "the environment is made ahead", 120)
    # The index that the image's files come from is the platform's own.
    made = platform.json("environment", "image", "boxes")
    try:
        assert (made["state"], made["is_live"], made["left_out"]) == ("ready", True, [])
        assert [one["id"] for one in platform.json("environment", "images", "boxes")] == [made["id"]]
        again = platform.json("environment", "image", "boxes")
        assert (again["id"], again["message"]) == (made["id"], "It was there already.")
        held = {one["name"] for one in platform.json("packages", "boxes")}
        listed = "import json, importlib.metadata as m; print(json.dumps([d.name for d in m.distributions()]))"
        podman = [BIN_PODMAN, "run", "--rm", "--network=none", made["name"], "/opt/environment/bin/python", "-c"]
        said = subprocess.run([*podman, listed], check=True, capture_output=True, text=True).stdout
        assert {canonicalize_name(name) for name in json.loads(said)} == held
        platform.run("start", "boxes", "--image", made["name"])
        page = client.get(f"/w/{platform.json('info', 'boxes')['id']}/environment").text
        assert made["name"] in page
        refused = platform.run("environment", "image", "boxes", "--push", check=False)
        assert "engines.container.builds.repository" in refused.stderr
        actions = [one["action"] for one in client.get("/api/v1/audit", params={"limit": 200}).json()["items"]]
        assert actions.count("image.build") == 2
        assert actions.count("image.built") == 1
    finally:
        platform.run("delete", "boxes", "--yes", "--stop-sessions", check=False)
        subprocess.run([BIN_PODMAN, "rmi", "--force", made["name"]], check=True, capture_output=True)
