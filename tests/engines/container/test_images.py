"""Images of environments, made, run, pushed and removed by a real Podman."""

import asyncio
import hashlib
import json
import os
import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from engines.container.bench import PATIENCE, Bench
from environments.wheels import make_wheel
from studiolo.contract.errors import Conflict, InvalidInput, Unavailable
from studiolo.engines.container import buildfile
from studiolo.engines.container.settings import BuildSettings
from studiolo.engines.images import PINS, ImageOrder
from studiolo.testing.ports import free_port
from studiolo.testing.waiting import eventually

pytestmark = [pytest.mark.engine, pytest.mark.engine_podman]

PASSWORD = "known-to-the-registry"
# As `htpasswd -B` writes it, for that password.
PEOPLE = "ana:$2b$04$EUVHxu32ET5schnore6UGOBxVoeeMnb2tLlL2nOgIvQKJqg22lGcW\n"
_CONFIG = """
version: 0.1
storage: {{filesystem: {{rootdirectory: {folder}/blobs}}}}
http: {{addr: 127.0.0.1:{port}}}
auth: {{htpasswd: {{realm: tests, path: {folder}/people}}}}
"""


class Files:
    """What an image is made of; counts how often it was asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.times = 0
        wheel = make_wheel(folder, "tiny", "1.0")
        (folder / PINS).write_text(f"tiny==1.0 --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n")

    async def bring(self) -> Path:
        """Have them at hand."""
        self.times += 1
        return self._folder


@pytest.fixture
def files(tmp_path: Path) -> Files:
    (tmp_path / "files").mkdir()
    return Files(tmp_path / "files")


@pytest.fixture
def order() -> ImageOrder:
    return ImageOrder("w-of-ana", "Churn_2", "a" * 64, "3.11")


@pytest.fixture(autouse=True)
async def tidy(bench: Bench) -> AsyncIterator[None]:
    """Leave no image of the tests' platform behind."""
    yield
    for image in await bench.engine.images.list_():
        await bench.engine.images.remove(image)


async def run(bench: Bench, image: str, *words: str) -> str:
    """Run a program in an image as its own account, and return what it says."""
    config = {"Image": image, "Entrypoint": [words[0]], "Cmd": list(words[1:]), "HostConfig": {"NetworkMode": "none"}}
    async with bench.docker() as docker:
        container = await docker.containers.create(config)
        try:
            await container.start()
            await container.wait(timeout=PATIENCE)
            return "".join(await container.log(stdout=True, stderr=True))
        finally:
            await container.delete(force=True)


async def all_images(bench: Bench) -> set[str]:
    """The ids of all images that the daemon has, nameless ones included."""
    async with bench.docker() as docker:
        return {one["Id"] for one in await docker.images.list(all=1)}


def silent(line: str) -> None:
    """Tell nobody."""


async def test_an_image_holds_what_its_lock_names_and_is_made_once(
    bench: Bench, files: Files, order: ImageOrder
) -> None:
    before, said = await all_images(bench), list[str]()
    made = await bench.engine.images.build(order, files.bring, said.append)
    assert made.name == bench.engine.images.name(order)
    assert made.name.startswith("localhost/studiolo/churn-2-")
    assert made.tag == "a" * 12
    assert any(line.startswith("Building: step ") for line in said)
    # Nothing but the image is left: neither the first stage nor what it was brought.
    assert await all_images(bench) - before == {made.id}
    python = "/opt/environment/bin/python"
    code = "import tiny, sys, pathlib; print(sys.prefix, pathlib.Path('/studiolo-build').exists(), list(pathlib.Path(tiny.__file__).parent.glob('__pycache__/tiny*')) != [])"
    assert (await run(bench, made.name, python, "-c", code)).split()[:2] == ["/opt/environment", "False"]
    told = await run(bench, made.name, "cat", "/opt/environment/.studiolo-image")
    assert json.loads(told) == {"lock": order.lock}
    again = await bench.engine.images.build(order, files.bring, silent)
    assert (again, files.times) == (made, 1)
    async with bench.docker() as docker:
        labels = (await docker.images.inspect(made.name))["Config"]["Labels"]
    assert labels["org.opencontainers.image.title"] == "Churn_2"
    assert labels["org.opencontainers.image.base.name"] == bench.settings.image
    assert labels[buildfile.LOCK] == order.lock
    assert await bench.engine.images.list_("w-of-ana") == [made]
    assert await bench.engine.images.list_("w-of-bob") == []


async def test_another_layout_of_the_same_lock_takes_the_place_of_the_one_before(
    bench: Bench, files: Files, order: ImageOrder, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await bench.engine.images.build(order, files.bring, silent)
    monkeypatch.setattr(buildfile, "_LAYOUT", -1)
    second = await bench.engine.images.build(order, files.bring, silent)
    assert (second.name, files.times) == (first.name, 2)
    assert second.id != first.id
    assert first.id not in await all_images(bench)


async def test_a_base_without_the_environments_python_is_refused(bench: Bench, files: Files, order: ImageOrder) -> None:
    before = await all_images(bench)
    with pytest.raises(InvalidInput) as refused:
        await bench.engine.images.build(replace(order, python="3.9"), files.bring, silent)
    assert refused.value.code == "image-unfit"
    assert "Python 3.9" in refused.value.message
    assert await all_images(bench) == before


async def test_a_file_of_another_content_makes_no_image(bench: Bench, files: Files, order: ImageOrder) -> None:
    before, folder = await all_images(bench), await files.bring()
    (folder / PINS).write_text(f"tiny==1.0 --hash=sha256:{'0' * 64}\n")
    with pytest.raises(Unavailable) as failed:
        await bench.engine.images.build(order, files.bring, silent)
    assert failed.value.code == "image-failed"
    assert "tiny" in failed.value.message
    assert await all_images(bench) == before


async def test_a_build_that_is_cancelled_leaves_nothing(bench: Bench, files: Files, order: ImageOrder) -> None:
    before, began = await all_images(bench), asyncio.Event()

    def say(line: str) -> None:
        if line.startswith("Building: step 4"):
            began.set()

    building = asyncio.create_task(bench.engine.images.build(order, files.bring, say))
    async with asyncio.timeout(PATIENCE):
        await began.wait()
    building.cancel()
    with pytest.raises(asyncio.CancelledError):
        await building
    assert await bench.engine.images.list_("w-of-ana") == []
    assert [*(bench.data_dir / "engines/container").glob("image-*")] == []
    # It is made as if nothing had been. Podman may go on with the other for a moment; what comes of it has no name.
    made = await bench.engine.images.build(order, files.bring, silent)
    async with asyncio.timeout(PATIENCE):
        while await all_images(bench) - before != {made.id}:
            await bench.engine.images.tidy()


async def test_a_workspaces_sessions_run_in_its_image_and_no_others_do(
    bench: Bench, files: Files, order: ImageOrder
) -> None:
    made = await bench.engine.images.build(order, files.bring, silent)
    handle = await bench.start_ready(image=made.name, workspace_id="w-of-ana")
    # What people work with is the workspace's own environment, which they can change.
    said = await bench.run(handle, "import sys, os; print(sys.prefix, os.path.exists('/opt/environment/bin/python'))")
    assert said.split() == [str(bench.environment), "True"]
    with pytest.raises(Conflict) as refused:
        await bench.engine.images.remove(made)
    assert refused.value.code == "image-in-use"
    with pytest.raises(InvalidInput) as other:
        await bench.engine.start(bench.spec(image=made.name, workspace_id="w-of-bob"))
    assert other.value.code == "image-not-allowed"
    await bench.engine.stop(handle, grace=timedelta(seconds=5))
    await bench.wait_end(handle)
    await bench.engine.images.remove(made)
    await bench.engine.images.remove(made)
    assert await bench.engine.images.list_("w-of-ana") == []


@pytest.fixture
async def registry(tmp_path: Path) -> AsyncIterator[str]:
    """A registry of Debian's on loopback that wants a login; gives its host."""
    program = shutil.which("docker-registry")
    if program is None:
        missing = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        missing("docker-registry is not installed; scripts/engines/podman.sh up installs it as root")
    folder, port = tmp_path / "registry", free_port()
    folder.mkdir()
    (folder / "people").write_text(PEOPLE)
    (folder / "config.yml").write_text(_CONFIG.format(folder=folder, port=port))
    with (folder / "log").open("w") as log:
        process = await asyncio.create_subprocess_exec(program, "serve", folder / "config.yml", stdout=log, stderr=log)
    address = f"127.0.0.1:{port}"
    await eventually(lambda: _status(f"http://{address}/v2/") == 401)
    yield address
    process.terminate()
    await process.wait()


def _status(url: str, **given: Any) -> int | None:
    try:
        return httpx.get(url, **given).status_code
    except httpx.TransportError:
        return None


async def test_an_image_is_pushed_to_the_registry_that_is_set_and_to_nobody_without_the_login(
    bench: Bench, files: Files, order: ImageOrder, registry: str, tmp_path: Path
) -> None:
    password = tmp_path / "password"
    password.write_text("another\n")
    bench.settings.builds = BuildSettings(
        repository=f"{registry}/team", username="ana", password_file=password, insecure=True
    )
    made = await bench.engine.images.build(order, files.bring, silent)
    assert made.name.startswith(f"{registry}/team/churn-2-")
    with pytest.raises(Unavailable) as refused:
        await bench.engine.images.push(made, silent)
    assert refused.value.code == "image-not-pushed"
    assert "another" not in refused.value.message
    password.write_text(f"{PASSWORD}\n")
    said: list[str] = []
    await bench.engine.images.push(made, said.append)
    assert said[0] == f"Pushing {made.name}."
    repository, _, tag = made.name.removeprefix(f"{registry}/").rpartition(":")
    manifest = f"http://{registry}/v2/{repository}/manifests/{tag}"
    kinds = {
        "Accept": "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json"
    }
    assert _status(manifest, auth=("ana", PASSWORD), headers=kinds) == 200


async def test_images_begin_only_from_what_sessions_may_name(bench: Bench, order: ImageOrder) -> None:
    with pytest.raises(InvalidInput) as refused:
        bench.engine.images.name(replace(order, base="docker.io/library/anything:1"))
    assert refused.value.code == "image-not-allowed"
    assert bench.engine.images.name(replace(order, base=bench.settings.image)) == bench.engine.images.name(order)
    other = bench.engine.images.name(replace(order, base="127.0.0.1:5000/base:1"))
    assert other.startswith(f"{bench.engine.images.name(order)}-")
