"""The catalogue of bases: added and chosen by administrators, taken by workspaces."""

from pathlib import Path

import httpx
import pytest

from environments.simple_index import SimpleIndex
from server.environments.conftest import W
from studiolo.server.services import Services

B = "/api/v1/jupyter/bases"
GEO = {"name": "geo", "description": "Maps", "file": {"name": "geo.txt", "text": "urllib3\nstem\n"}}


@pytest.fixture
async def geo(admin: httpx.AsyncClient, index: SimpleIndex, churn: Path) -> str:
    """A base with `stem` and `urllib3`, which the default policy blocks; its hash."""
    for name, version in (("ipykernel", "7.0"), ("pip", "26.0"), ("urllib3", "2.0")):
        index.add(name, version)
    reply = await admin.post(B, json=GEO, timeout=60)
    assert reply.status_code == 201, reply.text
    assert reply.json()["packages"] == 5
    return str(reply.json()["hash"])


@pytest.mark.req("S3-05")
async def test_a_workspace_begins_from_the_base_that_it_names(
    ana: httpx.AsyncClient, services: Services, geo: str
) -> None:
    made = await ana.post(W, json={"name": "maps", "environment": {"base": "geo"}})
    assert made.status_code == 201, made.text
    reply = await ana.post(
        f"{W}/maps/packages", json={"package": "leaf", "version": "1.0"}, params={"wait": 60}, timeout=60
    )
    assert reply.json()["state"] == "ready", reply.text
    found = {one["name"]: one["from_base"] for one in (await ana.get(f"{W}/maps/packages")).json()["items"]}
    assert found == {"ipykernel": True, "leaf": False, "pip": True, "stem": True, "urllib3": True}
    assert (await ana.get(f"{W}/maps/environment")).json()["base"] == "geo"
    # What the base brought comes back whatever the policy blocks: leaf 2.0 is the base's own.
    undone = (await ana.post(f"{W}/maps/environment/undo")).json()
    ended = await ana.get(f"{W}/maps/environment/builds/{undone['number']}", params={"wait": 60}, timeout=60)
    assert ended.json()["state"] == "ready", ended.text


async def test_new_workspaces_take_the_default(ana: httpx.AsyncClient, admin: httpx.AsyncClient, geo: str) -> None:
    chosen = (await admin.post(f"{B}/geo/default")).json()["items"]
    assert {one["name"]: one["is_default"] for one in chosen} == {"default": False, "geo": True}
    made = (await ana.post(W, json={"name": "maps"})).json()
    assert (await ana.get(f"{W}/{made['id']}/config")).text.count("base: geo") == 1
    refused = await admin.delete(f"{B}/geo")
    assert (refused.status_code, refused.json()["code"]) == (409, "base-in-use")


async def test_a_base_that_nobody_uses_goes(ana: httpx.AsyncClient, admin: httpx.AsyncClient, geo: str) -> None:
    assert (await ana.delete(f"{B}/geo")).status_code == 403
    assert (await admin.delete(f"{B}/geo")).status_code == 204
    refused = await ana.post(W, json={"name": "maps", "environment": {"base": "geo"}})
    assert (refused.status_code, refused.json()["code"]) == (422, "base-not-found")


async def test_a_base_is_not_added_twice(admin: httpx.AsyncClient, geo: str) -> None:
    again = await admin.post(B, json=GEO, timeout=60)
    assert (again.status_code, again.json()["code"]) == (409, "base-exists")
    own = await admin.post(B, json=GEO | {"name": "default"}, timeout=60)
    assert own.json()["code"] == "base-exists"
