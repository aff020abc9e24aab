"""Entity tags and changes at once."""

import asyncio

import httpx
import pytest

from server.conftest import People, eventually

W = "/api/v1/jupyter/workspaces"


async def ready(client: httpx.AsyncClient) -> httpx.Response:
    await client.post(W, json={"name": "churn"})

    async def is_ready() -> bool:
        return bool((await client.get(f"{W}/churn")).json()["environment"]["state"] == "ready")

    await eventually(is_ready)
    return await client.get(f"{W}/churn")


async def test_the_tag_is_the_revision_and_unchanged_is_304(ana: httpx.AsyncClient) -> None:
    seen = await ready(ana)
    assert seen.headers["etag"] == f'"{seen.json()["revision"]}"'
    again = await ana.get(f"{W}/churn", headers={"If-None-Match": seen.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    changed = await ana.patch(f"{W}/churn", json={"description": "new"})
    assert changed.headers["etag"] != seen.headers["etag"]
    assert (await ana.get(f"{W}/churn", headers={"If-None-Match": seen.headers["etag"]})).status_code == 200


async def test_a_running_session_is_news(ana: httpx.AsyncClient) -> None:
    seen = await ready(ana)
    await ana.post("/api/v1/jupyter/sessions", json={"workspace": "churn"}, params={"wait": 5})
    again = await ana.get(f"{W}/churn", headers={"If-None-Match": seen.headers["etag"]})
    assert (again.status_code, again.json()["running_sessions"]) == (200, 1)
    # What goes on is no change of the workspace itself.
    patched = await ana.patch(f"{W}/churn", json={"description": "x"}, headers={"If-Match": seen.headers["etag"]})
    assert patched.status_code == 200


@pytest.mark.parametrize("tag", ['"0"', "nonsense", '"1", "2"', 'W/"99"'])
async def test_a_change_of_another_revision_is_refused(ana: httpx.AsyncClient, tag: str) -> None:
    await ready(ana)
    headers = {"If-Match": tag}
    for reply in (
        await ana.patch(f"{W}/churn", json={"name": "other"}, headers=headers),
        await ana.post(f"{W}/churn/scale", json={"profile": "small"}, headers=headers),
        await ana.put(f"{W}/churn/config", content=b"", headers=headers),
        await ana.delete(f"{W}/churn", headers=headers),
    ):
        assert (reply.status_code, reply.json()["code"]) == (412, "workspace-changed")
    assert (await ana.get(f"{W}/churn")).json()["profile"] is None


async def test_of_changes_of_one_revision_one_wins(ana: httpx.AsyncClient) -> None:
    tag = (await ready(ana)).headers["etag"]
    replies = await asyncio.gather(
        *(ana.post(f"{W}/churn/scale", json={"resources": {"cpu": n}}, headers={"If-Match": tag}) for n in range(1, 9))
    )
    assert sorted(reply.status_code for reply in replies) == [200] + [412] * 7
    winner = next(reply for reply in replies if reply.status_code == 200)
    assert (await ana.get(f"{W}/churn")).json()["resources"]["cpu"] == winner.json()["own"]["cpu"]


async def test_two_who_scale_rename_and_delete_at_once_end_in_one_state(people: People) -> None:
    async with await people.client("ana") as ana, await people.client("leo") as leo:
        made = (await ana.post(W, json={"name": "churn"})).json()
        await ana.put(f"{W}/churn/members", json={"person": "leo", "role": "owner"})
        at = f"{W}/{made['id']}"
        calls = [
            call
            for n in range(1, 7)
            for who in (ana, leo)
            for call in (
                who.post(f"{at}/scale", json={"resources": {"cpu": n}}),
                who.post(f"{at}/scale", json={"resources": {"memory": f"{n}g"}}),
                who.patch(at, json={"name": f"churn-{n}"}),
            )
        ]
        replies = await asyncio.gather(*calls)
        assert {reply.status_code for reply in replies} == {200}
        seen = (await ana.get(at)).json()
        # Each change counted once, none lost: the amounts of both kinds stand side by side.
        assert seen["revision"] == made["revision"] + 1 + len(calls)
        assert seen["resources"]["cpu"] in range(1, 7)
        assert seen["resources"]["memory"] is not None
        deleted = await asyncio.gather(
            ana.delete(at), leo.delete(at), leo.post(f"{at}/scale", json={"profile": "small"})
        )
        assert sorted(reply.status_code for reply in deleted[:2]) == [204, 404]
        assert deleted[2].status_code in (200, 404)
        assert len((await leo.get("/api/v1/jupyter/trash")).json()["items"]) == 1
