"""Images of environments as their people have them: asked for, followed, cancelled, removed, recorded."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from environments.simple_index import SimpleIndex
from server.environments.conftest import W, install
from studiolo.contract.errors import InvalidInput, Unavailable
from studiolo.engines.base import Engine
from studiolo.engines.images import BuiltImage, Fetch, ImageOrder, Say
from studiolo.server.services import Services
from studiolo.testing.fake_engine import FakeEngine
from studiolo.testing.waiting import eventually

IMAGES = f"{W}/churn/environment/images"


class ScriptedBuilder:
    """Makes images in memory once `may_build` is set."""

    most = 2

    def __init__(self) -> None:
        self.registry = ""
        self.images: dict[str, BuiltImage] = {}
        self.pushed: list[str] = []
        self.may_build = asyncio.Event()
        self.error: Exception | None = None

    def name(self, order: ImageOrder) -> str:
        if order.base == "forbidden":
            raise InvalidInput("image-not-allowed", "No.", hint="Choose one of: base.")
        return f"localhost/studiolo/{order.workspace}:{order.lock[:12]}"

    async def build(self, order: ImageOrder, fetch: Fetch, say: Say) -> BuiltImage:
        say("Building: step 1 of 2.")
        await self.may_build.wait()
        if self.error is not None:
            raise self.error
        name = self.name(order)
        made = BuiltImage(
            order.workspace_id, name, name.rpartition(":")[2], "i", "base", order.lock, 42, datetime.now(UTC)
        )
        return self.images.setdefault(name, made)

    async def push(self, image: BuiltImage, say: Say) -> None:
        self.pushed.append(image.name)

    async def list_(self, workspace_id: str | None = None) -> Sequence[BuiltImage]:
        return [one for one in self.images.values() if workspace_id in (None, one.workspace_id)]

    async def tidy(self) -> None:
        """Nothing is left."""

    async def remove(self, image: BuiltImage) -> None:
        self.images.pop(image.name, None)


class ImageEngine(FakeEngine):
    """A scripted engine that makes images."""

    def __init__(self) -> None:
        super().__init__()
        self.images = ScriptedBuilder()


@pytest.fixture
def boxes() -> ImageEngine:
    return ImageEngine()


@pytest.fixture
def engines(engine: FakeEngine, boxes: ImageEngine) -> Mapping[str, Engine]:
    return {"local": engine, "boxes": boxes}


@pytest.fixture
async def lock(ana: httpx.AsyncClient, churn: Path, index: SimpleIndex) -> str:
    """The hash of what `churn` holds: its base, and `leaf`."""
    build = await install(ana, "leaf")
    assert build["state"] == "ready", build
    return str(build["hash"])


async def ended(client: httpx.AsyncClient, image: str) -> dict[str, Any]:
    reply = await client.get(f"{IMAGES}/{image}", params={"wait": 60})
    found: dict[str, Any] = reply.raise_for_status().json()
    return found


async def test_an_image_is_asked_for_followed_made_listed_and_removed(
    ana: httpx.AsyncClient, boxes: ImageEngine, lock: str
) -> None:
    reply = await ana.post(IMAGES, json={})
    asked = reply.json()
    assert (reply.status_code, asked["id"], asked["state"], asked["hash"]) == (202, lock[:12], "building", lock)
    again = await ana.post(IMAGES, json={})
    assert (again.status_code, again.json()["code"]) == (409, "image-running")

    async def is_told() -> bool:
        return bool((await ana.get(f"{IMAGES}/{asked['id']}")).json()["progress"] == "Building: step 1 of 2.")

    await eventually(is_told, "the progress is told")
    boxes.images.may_build.set()
    made = await ended(ana, asked["id"])
    assert (made["state"], made["size"], made["is_live"], made["progress"]) == ("ready", 42, True, None)
    listed = (await ana.get(IMAGES)).json()
    assert [one["name"] for one in listed["items"]] == [asked["name"]]
    page = await ana.get(f"/w/{(await ana.get(f'{W}/churn')).json()['id']}/environment")
    assert asked["name"] in page.text
    # What holds now is another environment.
    await install(ana, "stem")
    assert (await ended(ana, asked["id"]))["is_live"] is False
    assert (await ana.delete(f"{IMAGES}/{asked['id']}")).status_code == 204
    gone = await ana.delete(f"{IMAGES}/{asked['id']}")
    assert (gone.status_code, gone.json()["code"]) == (404, "image-not-found")


async def test_a_cancelled_and_a_failed_one_say_so_and_can_be_asked_for_again(
    ana: httpx.AsyncClient, boxes: ImageEngine, lock: str
) -> None:
    asked = (await ana.post(IMAGES, json={})).json()
    assert (await ana.delete(f"{IMAGES}/{asked['id']}")).status_code == 204
    assert (await ended(ana, asked["id"]))["state"] == "cancelled"
    boxes.images.may_build.set()
    boxes.images.error = Unavailable("image-failed", "No space left on device.")
    await ana.post(IMAGES, json={})
    failed = await ended(ana, asked["id"])
    assert (failed["state"], failed["code"], failed["message"]) == (
        "failed",
        "image-failed",
        "No space left on device.",
    )
    boxes.images.error = None
    await ana.post(IMAGES, json={})
    assert (await ended(ana, asked["id"]))["state"] == "ready"


async def test_pushing_needs_a_registry(ana: httpx.AsyncClient, boxes: ImageEngine, lock: str) -> None:
    boxes.images.may_build.set()
    refused = await ana.post(IMAGES, json={"push": True})
    assert (refused.status_code, refused.json()["code"]) == (422, "images-not-available")
    assert "engines.container.builds.repository" in refused.json()["hint"]
    boxes.images.registry = "registry.example.org/team"
    asked = (await ana.post(IMAGES, json={"push": True})).json()
    assert (await ended(ana, asked["id"]))["message"].endswith("It was pushed.")
    assert boxes.images.pushed == [asked["name"]]


async def test_no_more_than_so_many_and_only_from_what_is_allowed(
    ana: httpx.AsyncClient, boxes: ImageEngine, lock: str
) -> None:
    refused = await ana.post(IMAGES, json={"base": "forbidden"})
    assert refused.json()["code"] == "image-not-allowed"
    assert (await ana.post(IMAGES, json={"base": "no name\nof one"})).status_code == 422
    boxes.images.may_build.set()
    asked = (await ana.post(IMAGES, json={})).json()
    await ended(ana, asked["id"])
    for number in range(2):
        other = replace(next(iter(boxes.images.images.values())), name=f"other:{number}", tag=str(number))
        boxes.images.images[other.name] = other
    # The one that is there is found again all the same.
    assert (await ana.post(IMAGES, json={})).status_code == 202
    await ended(ana, asked["id"])
    await install(ana, "stem")
    full = await ana.post(IMAGES, json={})
    assert (full.status_code, full.json()["code"]) == (409, "limit-exceeded")
    assert "remove-image churn" in full.json()["hint"]


async def test_images_of_erased_workspaces_go(
    ana: httpx.AsyncClient, boxes: ImageEngine, services: Services, lock: str
) -> None:
    boxes.images.may_build.set()
    asked = (await ana.post(IMAGES, json={})).json()
    await ended(ana, asked["id"])
    await services.environment_images._sweep()
    assert list(boxes.images.images) == [asked["name"]]
    workspace = (await ana.get(f"{W}/churn")).json()["id"]
    assert (await ana.delete(f"{W}/churn")).is_success
    erased = await ana.delete(f"/api/v1/jupyter/trash/{workspace}", params={"confirm": "churn"})
    assert erased.is_success, erased.text
    await services.environment_images._sweep()
    assert list(boxes.images.images) == []


class TestWithoutContainers:
    """No engine makes images."""

    @pytest.fixture
    def engines(self, engine: FakeEngine) -> Mapping[str, Engine]:
        return {"local": engine}

    async def test_it_says_what_to_set_up(self, ana: httpx.AsyncClient, churn: Path) -> None:
        refused = await ana.post(IMAGES, json={})
        assert (refused.status_code, refused.json()["code"]) == (422, "images-not-available")
        assert "[engines.container]" in refused.json()["hint"]
        assert (await ana.get(IMAGES)).json()["items"] == []
