"""Workspaces over REST."""

import csv
import io
import json
from pathlib import Path

import httpx
import pytest

from studiolo.contract import record_table
from studiolo.contract.models import AuditEvent
from studiolo.kit.clock import ManualClock
from studiolo.server.services import Services

W = "/api/v1/jupyter/workspaces"


async def create(client: httpx.AsyncClient, name: str = "churn") -> dict[str, object]:
    reply = await client.post(W, json={"name": name})
    assert reply.status_code == 201, reply.text
    return dict(reply.json())


async def test_a_new_workspace_has_its_folder_and_a_welcome_notebook(ana: httpx.AsyncClient) -> None:
    made = await create(ana)
    found = (await ana.get(f"{W}/churn")).json()
    assert found["id"] == made["id"]
    assert found["role"] == "owner"
    assert (Path(found["path"]) / "notebooks" / "welcome.ipynb").is_file()


@pytest.mark.parametrize("reference", ["{id}", "churn", "ana~churn", "ana%2Fchurn", "ana%2fchurn"])
async def test_a_workspace_is_found_by_id_name_and_owner(ana: httpx.AsyncClient, reference: str) -> None:
    made = await create(ana)
    reply = await ana.get(f"{W}/{reference.format(id=made['id'])}")
    assert reply.json()["id"] == made["id"]


async def test_a_second_workspace_of_the_same_name_is_refused(ana: httpx.AsyncClient) -> None:
    await create(ana)
    reply = await ana.post(W, json={"name": "churn"})
    assert (reply.status_code, reply.json()["code"]) == (409, "workspace-exists")


async def test_two_people_may_use_the_same_name(ana: httpx.AsyncClient, leo: httpx.AsyncClient) -> None:
    assert (await create(ana))["id"] != (await create(leo))["id"]


async def test_an_unknown_name_suggests_a_near_one(ana: httpx.AsyncClient) -> None:
    await create(ana, "forecast")
    reply = await ana.get(f"{W}/forcast")
    assert reply.status_code == 404
    assert reply.json()["candidates"] == ["forecast"]


async def test_a_foreign_workspace_looks_like_an_absent_one(ana: httpx.AsyncClient, leo: httpx.AsyncClient) -> None:
    made = await create(ana)
    absent = (await leo.get(f"{W}/w-0123456789abcdef")).json()
    foreign = (await leo.get(f"{W}/{made['id']}")).json()
    for reply in (absent, foreign):
        reply.pop("request_id")
        reply["detail"] = reply["detail"].replace(str(made["id"]), "X").replace("w-0123456789abcdef", "X")
    assert foreign == absent
    assert (await leo.get(W)).json()["items"] == []


async def test_an_ambiguous_name_lists_the_candidates(
    ana: httpx.AsyncClient, leo: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    for owner in (ana, leo):
        await create(owner)
        await owner.put(f"{W}/churn/members", json={"person": "boss", "role": "viewer"})
    reply = await admin.get(f"{W}/churn")
    assert (reply.status_code, reply.json()["candidates"]) == (409, ["ana/churn", "leo/churn"])


async def test_mine_comes_before_those_i_belong_to(ana: httpx.AsyncClient, leo: httpx.AsyncClient) -> None:
    await create(ana)
    await ana.put(f"{W}/churn/members", json={"person": "leo", "role": "editor"})
    mine = await create(leo)
    assert (await leo.get(f"{W}/churn")).json()["id"] == mine["id"]


@pytest.mark.req("S2-16", "S2-33")
@pytest.mark.parametrize(
    ("role", "expected"), [("viewer", (200, 403, 403)), ("editor", (200, 403, 403)), ("owner", (200, 200, 200))]
)
async def test_roles_narrow_what_members_may_do(
    ana: httpx.AsyncClient, leo: httpx.AsyncClient, role: str, expected: tuple[int, ...]
) -> None:
    made = await create(ana)
    await ana.put(f"{W}/churn/members", json={"person": "leo@example.com", "role": role})
    path = f"{W}/{made['id']}"
    replies = (
        await leo.get(path),
        await leo.patch(path, json={"description": "x"}),
        await leo.put(f"{path}/members", json={"person": "ana", "role": "owner"}),
    )
    assert tuple(reply.status_code for reply in replies) == expected


@pytest.mark.req("S2-113")
async def test_an_owner_who_was_given_the_role_manages_members_and_deletes(
    ana: httpx.AsyncClient, leo: httpx.AsyncClient
) -> None:
    path = f"{W}/{(await create(ana))['id']}"
    for role, expected in (("editor", 403), ("owner", 200)):
        await ana.put(f"{path}/members", json={"person": "leo", "role": role})
        given = await leo.put(f"{path}/members", json={"person": "ana", "role": "viewer"})
        assert given.status_code == expected, given.text
        assert (await leo.post(f"{path}/scale", json={"resources": {"cpu": 1}})).status_code == expected
        assert (await leo.patch(path, json={"description": role})).status_code == expected
    # Not owner any more, Ana may neither delete it nor take her role back.
    assert (await ana.put(f"{path}/members", json={"person": "ana", "role": "owner"})).status_code == 403
    assert (await ana.delete(path)).status_code == 403
    assert (await leo.delete(path)).status_code == 204
    assert (await leo.get(path)).status_code == 404


async def test_a_workspace_keeps_an_owner(ana: httpx.AsyncClient) -> None:
    await create(ana)
    reply = await ana.put(f"{W}/churn/members", json={"person": "ana", "role": "viewer"})
    assert (reply.status_code, reply.json()["code"]) == (409, "last-owner")
    assert (await ana.get(f"{W}/churn")).json()["role"] == "owner"


async def test_a_removed_member_loses_sight_at_once(ana: httpx.AsyncClient, leo: httpx.AsyncClient) -> None:
    made = await create(ana)
    await ana.put(f"{W}/churn/members", json={"person": "leo", "role": "viewer"})
    assert (await leo.get(f"{W}/{made['id']}")).status_code == 200
    await ana.delete(f"{W}/churn/members/leo")
    assert (await leo.get(f"{W}/{made['id']}")).status_code == 404


async def test_a_deleted_workspace_frees_its_name(ana: httpx.AsyncClient) -> None:
    first = await create(ana)
    assert (await ana.delete(f"{W}/churn")).status_code == 204
    assert (await ana.get(f"{W}/{first['id']}")).status_code == 404
    assert (await create(ana))["id"] != first["id"]


async def test_lists_are_paged_without_gaps(ana: httpx.AsyncClient) -> None:
    names = [f"w{number:02}" for number in range(7)]
    for name in names:
        await create(ana, name)
    seen: list[str] = []
    cursor: str | None = None
    while True:
        page = (await ana.get(W, params={"limit": 3} | ({"cursor": cursor} if cursor else {}))).json()
        seen += [item["name"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == names


async def test_a_bad_cursor_is_named(ana: httpx.AsyncClient) -> None:
    reply = await ana.get(W, params={"cursor": "###"})
    assert (reply.status_code, reply.json()["code"]) == (422, "cursor-invalid")


@pytest.mark.parametrize("root", ["/etc", "/", "relative", "/proc/self", "/usr"])
async def test_folders_of_the_system_are_no_workspace(admin: httpx.AsyncClient, root: str) -> None:
    reply = await admin.post(W, json={"name": "bad", "root": root})
    assert (reply.status_code, reply.json()["code"]) == (422, "folder-not-allowed")


async def test_the_platforms_own_folder_is_no_workspace(admin: httpx.AsyncClient, services: Services) -> None:
    for folder in (
        services.settings.data_dir,
        services.settings.data_dir / "secrets",
        services.settings.data_dir.parent,
    ):
        reply = await admin.post(W, json={"name": "bad", "root": str(folder)})
        assert reply.json()["code"] == "folder-not-allowed"


async def test_members_use_only_folders_that_were_opened(ana: httpx.AsyncClient, tmp_path: Path) -> None:
    reply = await ana.post(W, json={"name": "mine", "root": str(tmp_path / "mine")})
    assert reply.json()["code"] == "folder-not-allowed"


async def test_every_change_leaves_one_record(ana: httpx.AsyncClient, admin: httpx.AsyncClient) -> None:
    await create(ana)
    await ana.put(f"{W}/churn/members", json={"person": "boss", "role": "viewer"})
    await ana.patch(f"{W}/churn", json={"name": "attrition"})
    await ana.delete(f"{W}/attrition")
    events = (await admin.get("/api/v1/audit")).json()["items"]
    actions = [event["action"] for event in events if event["actor"] and event["actor"]["name"] == "ana"]
    assert actions == ["workspace.delete", "workspace.update", "member.set", "workspace.create", "key.create"]


async def test_the_record_of_a_workspace_is_a_table_of_all_of_it_for_its_members(
    ana: httpx.AsyncClient, leo: httpx.AsyncClient
) -> None:
    path = f"{W}/{(await create(ana))['id']}"
    for number in range(205):
        assert (await ana.patch(path, json={"description": str(number)})).status_code == 200
    table = await ana.get(f"{path}/activity.csv")
    assert table.headers["content-type"] == "text/csv; charset=utf-8"
    assert "attachment" in table.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(table.text)))
    assert (len(rows), rows[-1]["action"]) == (206, "workspace.create")
    assert {row["actor"] for row in rows} == {"ana"}
    assert (await leo.get(f"{path}/activity.csv")).status_code == 404
    await ana.put(f"{path}/members", json={"person": "leo", "role": "viewer"})
    assert (await leo.get(f"{path}/activity.csv")).status_code == 200


def test_the_table_of_a_record_holds_nothing_that_a_spreadsheet_computes() -> None:
    event = {
        "id": "e-1",
        "sequence": 1,
        "at": "2026-03-01T12:00:00Z",
        "actor": None,
        "via": "key",
        "action": "file.move",
    }
    given = AuditEvent.model_validate(event | {"target": '=1+1,"a"', "workspace_id": None, "detail": {"to": "@b\n"}})
    [row] = csv.DictReader(io.StringIO(record_table.head() + "".join(record_table.lines([given]))))
    assert row["target"] == '\'=1+1,"a"'
    assert json.loads(row["detail"]) == {"to": "@b\n"}
    assert (row["at"], row["actor"], row["workspace_id"]) == ("2026-03-01T12:00:00+00:00", "", "")


async def test_files_of_a_deleted_workspace_stay_until_the_retention_is_over(
    ana: httpx.AsyncClient, services: Services, clock: ManualClock
) -> None:
    made = await create(ana)
    folder = Path(str(made["path"]))
    await ana.delete(f"{W}/churn")
    await services.trash.empty()
    assert (folder / "notebooks" / "welcome.ipynb").is_file()
    clock.advance(services.settings.workspaces.trash_retention)
    await services.trash.empty()
    assert not folder.exists()


async def test_a_folder_of_the_machine_is_never_erased(
    admin: httpx.AsyncClient, services: Services, clock: ManualClock, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "data.csv").write_text("a,b\n")
    await admin.post(W, json={"name": "churn", "root": str(tmp_path / "mine")})
    await admin.delete(f"{W}/churn")
    clock.advance(services.settings.workspaces.trash_retention)
    await services.trash.empty()
    assert (tmp_path / "mine" / "data.csv").is_file()
