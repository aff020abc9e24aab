"""Shares of workspaces, over REST."""

import httpx
import pytest

from studiolo.contract.operations import Role

NOTEBOOK = {"path": "/notebooks/model-training.ipynb"}


@pytest.fixture
async def team(ana: httpx.AsyncClient, leo: httpx.AsyncClient) -> str:
    """A workspace of Ana's that Leo may see."""
    made = (await ana.post("/api/v1/jupyter/workspaces", json={"name": "team"})).json()
    await set_role(ana, made["id"], Role.VIEWER)
    return f"/api/v1/jupyter/workspaces/{made['id']}/shares"


async def set_role(ana: httpx.AsyncClient, workspace: str, role: Role) -> None:
    form = {"person": "leo", "role": role}
    assert (await ana.put(f"/api/v1/jupyter/workspaces/{workspace}/members", json=form)).status_code == 200


@pytest.mark.req("S2-17")
async def test_members_see_what_was_shared(ana: httpx.AsyncClient, leo: httpx.AsyncClient, team: str) -> None:
    made = await ana.post(team, json=NOTEBOOK)
    assert made.status_code == 201
    seen = (await leo.get(team)).json()["items"]
    assert [(share["kind"], share["path"], share["shared_by"]["name"]) for share in seen] == [
        ("notebook", "notebooks/model-training.ipynb", "ana")
    ]


async def test_sharing_again_changes_nothing(ana: httpx.AsyncClient, team: str) -> None:
    first, second = [(await ana.post(team, json=NOTEBOOK)).json() for _ in range(2)]
    assert first == second
    assert len((await ana.get(team)).json()["items"]) == 1


async def test_an_editor_may_share_and_a_viewer_not(ana: httpx.AsyncClient, leo: httpx.AsyncClient, team: str) -> None:
    refused = await leo.post(team, json=NOTEBOOK)
    assert (refused.status_code, refused.json()["code"]) == (403, "denied")
    await set_role(ana, team.split("/")[5], Role.EDITOR)
    assert (await leo.post(team, json=NOTEBOOK)).status_code == 201


async def test_strangers_see_nothing(admin: httpx.AsyncClient, ana: httpx.AsyncClient, leo: httpx.AsyncClient) -> None:
    made = (await ana.post("/api/v1/jupyter/workspaces", json={"name": "private"})).json()
    path = f"/api/v1/jupyter/workspaces/{made['id']}/shares"
    assert (await leo.get(path)).json()["code"] == "workspace-not-found"
    assert (await admin.get(path)).status_code == 403


@pytest.mark.parametrize("path", ["../secret", "a/../../b", "/"])
async def test_a_path_out_of_the_workspace_is_refused(ana: httpx.AsyncClient, team: str, path: str) -> None:
    reply = await ana.post(team, json={"path": path})
    assert (reply.status_code, reply.json()["code"]) == (422, "path-invalid")


async def test_what_is_shared_no_longer_is_gone(ana: httpx.AsyncClient, team: str) -> None:
    made = (await ana.post(team, json=NOTEBOOK)).json()
    assert (await ana.delete(f"{team}/{made['id']}")).status_code == 204
    again = await ana.delete(f"{team}/{made['id']}")
    assert (again.status_code, again.json()["code"]) == (404, "share-not-found")
    assert (await ana.get(team)).json()["items"] == []


async def test_shares_are_paged_newest_first(ana: httpx.AsyncClient, team: str) -> None:
    for name in "abc":
        await ana.post(team, json={"path": f"{name}.csv"})
    seen, cursor = [], None
    while True:
        page = (await ana.get(team, params={"limit": 1, **({"cursor": cursor} if cursor else {})})).json()
        seen += [share["path"] for share in page["items"]]
        if (cursor := page["next_cursor"]) is None:
            break
    assert sorted(seen) == ["a.csv", "b.csv", "c.csv"]
    assert (await ana.get(team, params={"cursor": "nonsense"})).json()["code"] == "cursor-invalid"


async def test_sharing_is_recorded(ana: httpx.AsyncClient, team: str) -> None:
    await ana.post(team, json=NOTEBOOK)
    events = (await ana.get(team.replace("/shares", "/activity"))).json()["items"]
    assert (events[0]["action"], events[0]["detail"]) == ("share.create", {"path": "notebooks/model-training.ipynb"})
