"""What the kernel host asks and tells the control plane, and what people see of kernels."""

import asyncio
import json
import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock
from urllib.parse import parse_qsl

import httpx
import pytest

from server.conftest import People, eventually
from server.kernel_host import Host, add_kernel, standing_in
from studiolo.contract.errors import Unavailable
from studiolo.gateway.api.bodies import number
from studiolo.kit.clock import ManualClock
from studiolo.server.kernels import queries
from studiolo.server.principal import OPERATOR
from studiolo.server.services import Services
from studiolo.server.settings import Settings
from studiolo.server.settings.kernels import KernelSettings
from studiolo.server.workspaces.queries import update_workspace
from studiolo.testing.fake_engine import FakeEngine

W = "/api/v1/jupyter/workspaces"
S = "/api/v1/jupyter/sessions"
K = "/api/v1/kernels"


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    run_dir = Path(tempfile.mkdtemp(prefix="st-", dir="/tmp"))
    limits = KernelSettings(max_running_per_person=3, max_running_per_workspace=4, max_running=5)
    yield Settings(data_dir=tmp_path / "data", port=28888, run_dir=run_dir, kernels=limits)
    shutil.rmtree(run_dir)


@pytest.fixture
async def host(services: Services) -> AsyncIterator[Host]:
    async with standing_in(services) as host:
        yield host


class Asking:
    """The kernel host's side: what it asks for one person, with one of their keys."""

    def __init__(self, people: People, services: Services, client: httpx.AsyncClient) -> None:
        self._people = people
        self._services = services
        self.client = client

    async def prepare(self) -> "Asking":
        self.person = (await self.client.get("/api/v1/me")).json()
        made = (await self.client.post("/api/v1/me/keys", json={"name": "g", "kind": "gateway"})).json()
        self.key, self.login = made["key"], made["id"]
        return self

    async def workspace(self, name: str = "churn", **members: Any) -> str:
        made = (await self.client.post(W, json={"name": name, **members})).json()
        spec = {"argv": ["python", "-m", "ipykernel_launcher", "-f", "{connection_file}"], "display_name": "Python 3"}
        environment = self._services.settings.data_dir / "environments" / made["id"]
        await eventually(lambda: _is_dir(environment))
        folder = environment / "share" / "jupyter" / "kernels" / "python3"
        folder.mkdir(parents=True)
        (environment / "bin" / "python").touch()
        (folder / "kernel.json").write_text(json.dumps(spec | {"language": "python"}))
        return str(made["id"])

    async def ask(self, what: str, body: dict[str, Any], secret: str | None = None) -> httpx.Response:
        secret = self._services.kernel_host.secret if secret is None else secret
        headers = {"X-Studiolo-Question": "1", "X-Studiolo-Secret": secret}
        async with self._people.anonymous(headers) as client:
            return await client.post(f"/_kernels/{what}", json=body)

    async def reserve(
        self, scope: str, *, name: str | None = None, kernel_id: str = "", rights: Any = ("see", "start"), **env: str
    ) -> httpx.Response:
        prefix = env.pop("prefix", f"/w/{scope}/")
        caller = {
            "scope": scope,
            "rights": list(rights),
            "person_id": self.person["id"],
            "person_name": self.person["name"],
            "login": self.login,
            "prefix": prefix,
            "origin": None,
        }
        wish = {"spec_name": name, "path": env.pop("path", None), "variables": env}
        return await self.ask(
            "reserve", {"caller": caller, "wish": wish | {"kernel_id": kernel_id or str(uuid.uuid4())}}
        )


async def _is_dir(path: Path) -> bool:
    return await asyncio.to_thread(path.is_dir)


@pytest.fixture
async def asking(people: People, services: Services, ana: httpx.AsyncClient) -> Asking:
    return await Asking(people, services, ana).prepare()


def error(reply: httpx.Response) -> str:
    assert reply.status_code >= 400, reply.text
    return str(reply.json()["code"])


@pytest.mark.req("S1-03", "S1-X10")
async def test_a_reservation_answers_with_the_whole_plan(asking: Asking, settings: Settings) -> None:
    workspace, kernel = await asking.workspace(), str(uuid.uuid4())
    reply = await asking.reserve(
        workspace,
        kernel_id=kernel,
        path="notebooks/a.ipynb",
        KERNEL_CPUS="1",
        KERNEL_MEMORY="64M",
        KERNEL_USERNAME="root",
        LD_PRELOAD="/tmp/x.so",
        MINE="1",
    )
    plan = reply.json()["plan"]
    environment = settings.data_dir / "environments" / workspace
    assert (plan["kernel_id"], plan["scope"], plan["spec_name"]) == (kernel, workspace, "python3")
    assert plan["environment"] == str(environment)
    assert plan["folder"] == str(settings.data_dir / "workspaces" / workspace / "notebooks")
    assert (plan["cpu_limit"], plan["memory_limit"]) == (1.0, 64 * 2**20)
    variables = plan["variables"]
    assert (variables["KERNEL_USERNAME"], variables["MINE"], variables["MEM_LIMIT"]) == ("ana", "1", str(64 * 2**20))
    assert "LD_PRELOAD" not in variables
    assert variables["VIRTUAL_ENV"] == str(environment)
    assert variables["STUDIOLO_WORKSPACE"] == "ana/churn"
    key_file = Path(variables["STUDIOLO_KEY_FILE"])
    netrc_file = Path(variables["NETRC"])
    assert [file.stat().st_mode & 0o777 for file in (key_file, netrc_file)] == [0o600, 0o600]
    assert f"password {key_file.read_text()}\n" in netrc_file.read_text()
    assert variables["UV_DEFAULT_INDEX"] == "http://127.0.0.1:28888/pypi/simple/"
    row = (await asking.client.get(f"{K}/{kernel}")).json()
    assert (row["state"], row["resources"]["cpu"], row["path"]) == ("starting", 1.0, "notebooks/a.ipynb")
    events = (await asking.client.get(f"{W}/churn/activity")).json()["items"]
    assert [event["action"] for event in events].count("kernel.start") == 1


async def test_a_kernels_own_key_reads_its_workspace_and_dies_with_it(
    asking: Asking, people: People, services: Services
) -> None:
    workspace, kernel = await asking.workspace(), str(uuid.uuid4())
    plan = (await asking.reserve(workspace, kernel_id=kernel)).json()["plan"]
    key = Path(plan["variables"]["STUDIOLO_KEY_FILE"]).read_text()
    async with people.anonymous({"Authorization": f"Bearer {key}"}) as inside:
        assert (await inside.get(f"{W}/{workspace}")).status_code == 200
        assert (await inside.post(W, json={"name": "other"})).status_code == 403
        at = services.clock.now().isoformat()
        await asking.ask("ended", {"id": kernel, "exit": {"reason": "exited", "message": "It ended.", "at": at}})
        assert error(await inside.get(f"{W}/{workspace}")) == "key-invalid"
    assert not Path(plan["variables"]["STUDIOLO_KEY_FILE"]).exists()


async def test_asked_again_the_answer_is_the_same_and_counts_once(asking: Asking) -> None:
    workspace, kernel = await asking.workspace(), str(uuid.uuid4())
    first = await asking.reserve(workspace, kernel_id=kernel)
    assert (await asking.reserve(workspace, kernel_id=kernel)).json() == first.json()
    assert len((await asking.client.get(K)).json()["items"]) == 1
    other = await asking.workspace("other")
    assert error(await asking.reserve(other, kernel_id=kernel)) == "kernel-exists"


async def test_a_kernel_that_ended_is_started_anew_under_its_id(asking: Asking, services: Services) -> None:
    workspace, kernel = await asking.workspace(), str(uuid.uuid4())
    await asking.reserve(workspace, kernel_id=kernel)
    await asking.ask("started", {"id": kernel, "ok": True, "message": ""})
    at = services.clock.now().isoformat()
    await asking.ask("ended", {"id": kernel, "exit": {"reason": "killed", "message": "It was killed.", "at": at}})
    plan = (await asking.reserve(workspace, kernel_id=kernel)).json()["plan"]
    assert Path(plan["variables"]["STUDIOLO_KEY_FILE"]).exists()
    shown = (await asking.client.get(f"{K}/{kernel}")).json()
    assert (shown["state"], shown["ended_at"], shown["reason"]) == ("starting", None, None)
    told = {"id": kernel, "scope": workspace, "state": "idle", "connections": 0}
    assert (await asking.ask("report", {"kernels": [told]})).json() == {"unwanted": []}


@pytest.mark.req("S1-25")
async def test_nobody_has_more_kernels_than_allowed_by_any_interleaving(asking: Asking) -> None:
    workspace = await asking.workspace()
    replies = await asyncio.gather(*(asking.reserve(workspace) for _ in range(8)))
    codes = [reply.json().get("code", "ok") for reply in replies]
    assert sorted(codes) == ["ok"] * 3 + ["too-many-kernels"] * 5
    refused = next(reply.json() for reply in replies if reply.status_code == 429)
    assert "limit for one person" in refused["detail"]
    assert refused["hint"]


@pytest.mark.req("S1-25")
async def test_what_is_free_is_not_promised_twice(asking: Asking, engine: FakeEngine) -> None:
    engine.machine = replace(engine.machine, gpu=1)
    workspace = await asking.workspace()
    assert (await asking.reserve(workspace, KERNEL_GPUS="1")).status_code == 200
    reply = await asking.reserve(workspace, KERNEL_GPUS="1")
    assert error(reply) == "capacity-exceeded"
    assert "of which 0 GPUs can be promised now" in reply.json()["detail"]
    # What kernels hold, no session gets either.
    body = {"workspace": "churn", "resources": {"gpu": 1}}
    assert error(await asking.client.post(S, json=body)) == "capacity-exceeded"
    assert len((await asking.client.get(K)).json()["items"]) == 1


@pytest.mark.parametrize(
    ("variables", "code"),
    [
        ({"KERNEL_MEMORY": "much"}, "request-invalid"),
        ({"KERNEL_IMAGE": "jupyter/scipy"}, "image-not-supported"),
        ({"KERNEL_GPUS": "1"}, "gpu-not-available"),
        ({"KERNEL_VOLUMES": "[{}]"}, "request-invalid"),
        ({"KERNEL_PROFILE": "enormous"}, "profile-unknown"),
    ],
)
async def test_what_cannot_be_had_is_refused_by_name(asking: Asking, variables: dict[str, str], code: str) -> None:
    assert error(await asking.reserve(await asking.workspace(), **variables)) == code


async def test_a_workspace_that_demands_isolation_gets_no_kernel_beside_the_platform(
    asking: Asking, services: Services
) -> None:
    workspace = await asking.workspace()
    async with services.db.write() as tx:
        await update_workspace(tx.connection, workspace, config={"min_isolation": "L2"})
    assert error(await asking.reserve(workspace)) == "isolation-too-low"


async def test_a_kernel_that_is_not_offered_is_named_with_those_that_are(asking: Asking) -> None:
    reply = await asking.reserve(await asking.workspace(), name="julia")
    assert error(reply) == "kernelspec-not-found"
    assert "python3" in reply.json()["hint"]
    assert (await asking.client.get(K)).json()["items"] == []


@pytest.mark.parametrize(("method", "of"), [("POST", ""), ("DELETE", "/big")])
async def test_a_kernelspec_changes_only_once_that_is_recorded_and_what_is_refused_is_not(
    asking: Asking, services: Services, host: Host, monkeypatch: pytest.MonkeyPatch, method: str, of: str
) -> None:
    workspace = await asking.workspace()
    body = {"name": "big"} if method == "POST" else None

    async def change() -> tuple[int, list[str], int]:
        before = len(host.app.seen)
        reply = await asking.client.request(method, f"/api/v1/workspaces/{workspace}/kernelspecs{of}", json=body)
        asked = [seen.query for seen in host.app.seen[before:] if "/studiolo/kernelspecs" in seen.path]
        happened = (await asking.client.get(f"{W}/{workspace}/activity")).json()["items"]
        return reply.status_code, asked, sum(event["action"].startswith("kernelspec.") for event in happened)

    answer = host.app.answer
    with monkeypatch.context() as patch:
        patch.setattr(services.audit, "record", AsyncMock(side_effect=Unavailable("disk-full", "The disk is full.")))
        assert await change() == (503, ["check=1"], 0)
    host.app.answer = lambda _: (409, {}, b'{"kind": "conflict", "code": "kernelspec-exists", "detail": "x"}')
    assert await change() == (409, ["check=1"], 0)
    host.app.answer = answer
    assert await change() == (201 if body else 204, ["check=1", ""], 1)


@pytest.mark.req("S1-25")
async def test_the_right_is_looked_at_anew_whatever_the_front_door_was_told(
    asking: Asking, services: Services, people: People
) -> None:
    workspace = await asking.workspace()
    assert error(await asking.reserve(workspace, rights=("see",))) == "denied"
    vi = await Asking(people, services, await people.client("vi")).prepare()
    await asking.client.put(f"{W}/{workspace}/members", json={"person": "vi", "role": "viewer"})
    assert error(await vi.reserve(workspace)) == "denied"
    stranger = await Asking(people, services, await people.client("sam")).prepare()
    assert error(await stranger.reserve(workspace)) == "workspace-not-found"
    vi.person = asking.person
    assert error(await vi.reserve(workspace)) == "denied"
    await asking.client.delete(f"/api/v1/me/keys/{asking.login}")
    assert error(await asking.reserve(workspace)) == "key-invalid"
    for one in (vi, stranger):
        await one.client.aclose()


async def test_a_workspace_may_be_named_at_the_root_only(asking: Asking) -> None:
    churn, other = await asking.workspace(), await asking.workspace("other")
    at_root = await asking.reserve(churn, prefix="/", KERNEL_WORKSPACE="other")
    assert at_root.json()["plan"]["scope"] == other
    assert (await asking.reserve(churn, KERNEL_WORKSPACE="other")).json()["plan"]["scope"] == churn


@pytest.mark.parametrize("secret", ["", "wrong"])
async def test_who_does_not_know_the_secret_is_told_nothing(asking: Asking, secret: str) -> None:
    assert (await asking.ask("report", {"kernels": []}, secret)).status_code == 404


@pytest.mark.parametrize("body", [{}, {"caller": {}, "wish": {}}, {"caller": {"rights": ["all"]}, "wish": {}}])
async def test_a_question_that_makes_no_sense_is_refused(asking: Asking, body: dict[str, Any]) -> None:
    assert error(await asking.ask("reserve", body)) == "request-invalid"


async def test_reports_show_how_kernels_are_and_name_those_nobody_wants(asking: Asking, services: Services) -> None:
    workspace = await asking.workspace()
    kernel = await add_kernel(services, workspace, asking.person["id"])
    foreign = str(uuid.uuid4())
    at = services.clock.now().isoformat()
    told = {"scope": workspace, "state": "busy", "connections": 2, "last_active_at": at, "path": None, "output": 7}
    reply = await asking.ask("report", {"kernels": [told | {"id": kernel}, told | {"id": foreign}, {"id": 3}]})
    assert reply.json() == {"unwanted": [foreign]}
    seen = (await asking.client.get(f"{K}/{kernel}")).json()
    assert (seen["state"], seen["connections"], seen["output"]) == ("busy", 2, 7)


async def test_a_session_shows_what_the_host_says_of_its_kernels(asking: Asking, services: Services) -> None:
    workspace = await asking.workspace()
    session = (await asking.client.post(S, json={"workspace": "churn"}, params={"wait": 5})).json()["id"]
    scope, at = f"{session}.1", services.clock.now().isoformat()
    kernel = await add_kernel(services, workspace, asking.person["id"], scope=scope, session_id=session)
    told = {"id": kernel, "scope": scope, "state": "busy", "connections": 1, "output": 0}
    told |= {"last_active_at": at, "path": "notebooks/a.ipynb"}
    assert (await asking.ask("report", {"kernels": [told]})).json() == {"unwanted": []}
    activity = (await asking.client.get(f"{S}/{session}")).json()["activity"]
    assert (activity["kernels"], activity["busy_kernels"], activity["connections"]) == (1, 1, 1)
    assert activity["notebook"] == "notebooks/a.ipynb"
    await asking.ask("report", {"kernels": []})
    activity = (await asking.client.get(f"{S}/{session}")).json()["activity"]
    assert (activity["kernels"], activity["busy_kernels"]) == (0, 0)
    await asking.client.post(f"{S}/{session}/stop", params={"wait": 5})
    assert (await asking.ask("report", {"kernels": [told]})).json() == {"unwanted": [kernel]}


async def test_a_kernel_that_did_not_start_is_told_with_the_reason(asking: Asking) -> None:
    workspace, kernel = await asking.workspace(), str(uuid.uuid4())
    await asking.reserve(workspace, kernel_id=kernel)
    await asking.ask("started", {"id": kernel, "ok": False, "message": "No such file: python"})
    found = (await asking.client.get(f"{K}/{kernel}")).json()
    assert (found["state"], found["reason"]["message"]) == ("ended", "No such file: python")


async def test_what_the_host_does_not_know_has_ended_and_what_it_finds_again_has_not(
    asking: Asking, services: Services, host: Host
) -> None:
    workspace = await asking.workspace()
    kernel = await add_kernel(services, workspace, asking.person["id"])
    await services.kernel_reconciler.look()
    found = (await asking.client.get(f"{K}/{kernel}")).json()
    assert (found["state"], found["reason"]["code"]) == ("ended", "vanished")
    host.kernels = [{"id": kernel, "scope": workspace, "state": "idle", "connections": 0}]
    await services.kernel_reconciler.look()
    assert (await asking.client.get(f"{K}/{kernel}")).json()["state"] == "idle"


async def test_nothing_is_concluded_while_the_host_is_away(asking: Asking, services: Services) -> None:
    kernel = await add_kernel(services, await asking.workspace(), asking.person["id"])
    await services.kernel_reconciler.look()
    assert (await asking.client.get(f"{K}/{kernel}")).json()["state"] == "idle"


async def test_a_reservation_that_nobody_used_is_given_back(
    asking: Asking, services: Services, host: Host, clock: ManualClock
) -> None:
    kernel = str(uuid.uuid4())
    await asking.reserve(await asking.workspace(), kernel_id=kernel)
    await services.kernel_reconciler.look()
    assert (await asking.client.get(f"{K}/{kernel}")).json()["state"] == "starting"
    clock.advance(timedelta(minutes=2))
    await services.kernel_reconciler.look()
    assert (await asking.client.get(f"{K}/{kernel}")).json()["reason"]["code"] == "not-started"


async def test_stopping_is_durable_before_the_host_hears_of_it(asking: Asking, services: Services, host: Host) -> None:
    kernel = await add_kernel(services, await asking.workspace(), asking.person["id"])
    assert (await asking.client.post(f"{K}/{kernel}/stop")).status_code == 200
    assert f"kernels/{kernel}/stop" in host.told
    report = {"id": kernel, "scope": "w", "state": "idle", "connections": 0}
    assert (await asking.ask("report", {"kernels": [report]})).json() == {"unwanted": [kernel]}
    at = services.clock.now().isoformat()
    await asking.ask("ended", {"id": kernel, "exit": {"reason": "stopped", "message": "It was stopped.", "at": at}})
    reason = (await asking.client.get(f"{K}/{kernel}")).json()["reason"]
    assert (reason["code"], reason["message"]) == ("stopped-by-person", "Stopped by ana.")
    assert error(await asking.client.post(f"{K}/{kernel}/interrupt")) == "kernel-ended"
    assert (await asking.client.post(f"{K}/{kernel}/stop")).status_code == 200


async def test_a_deleted_workspace_ends_its_kernels_and_closes_what_is_open(
    asking: Asking, services: Services, host: Host
) -> None:
    workspace = await asking.workspace()
    kernel = await add_kernel(services, workspace, asking.person["id"])
    assert (await asking.client.delete(f"{W}/churn")).status_code == 204
    await services.kernel_stopper.drain()
    await services.kernel_closer.drain()
    assert f"kernels/{kernel}/stop" in host.told
    closed = [json.loads(seen.body) for seen in host.app.seen if seen.path == "/_host/close"]
    assert asking.login in closed[-1]["logins"]
    # What the same people have open elsewhere stays so.
    assert closed[-1]["scopes"] == [workspace]
    assert error(await asking.client.get(f"{K}/{kernel}")) == "kernel-not-found"


async def test_who_loses_their_role_loses_their_kernels_and_sockets(
    asking: Asking, people: People, services: Services, host: Host
) -> None:
    workspace = await asking.workspace()
    ed = await Asking(people, services, await people.client("ed")).prepare()
    await asking.client.put(f"{W}/{workspace}/members", json={"person": "ed", "role": "editor"})
    mine = await add_kernel(services, workspace, asking.person["id"])
    theirs = await add_kernel(services, workspace, ed.person["id"])
    await add_kernel(services, workspace, asking.person["id"], scope="s-of-mine.1")
    await asking.client.put(f"{W}/{workspace}/members", json={"person": "ed", "role": "viewer"})
    await services.kernel_stopper.drain()
    await services.kernel_closer.drain()
    assert f"kernels/{theirs}/stop" in host.told
    assert f"kernels/{mine}/stop" not in host.told
    closed = [json.loads(seen.body) for seen in host.app.seen if seen.path == "/_host/close"]
    assert any(ed.login in one["logins"] for one in closed)
    assert not any(asking.login in one["logins"] for one in closed)
    assert {tuple(one["scopes"]) for one in closed} == {("s-of-mine.1", workspace)}
    await ed.client.aclose()


async def test_a_key_that_ends_is_told_to_the_host(
    asking: Asking, services: Services, host: Host, clock: ManualClock
) -> None:
    await asking.client.delete(f"/api/v1/me/keys/{asking.login}")
    await services.kernel_closer.drain()
    assert any(asking.login in seen.body.decode() for seen in host.app.seen)
    made = (await asking.client.post("/api/v1/me/keys", json={"name": "g", "kind": "gateway"})).json()
    await services.kernel_closer.look()
    clock.advance(timedelta(days=91))
    await services.kernel_closer.look()
    await services.kernel_closer.drain()
    assert any(made["id"] in seen.body.decode() for seen in host.app.seen)


async def test_the_platform_going_down_with_its_sessions_ends_headless_kernels(
    asking: Asking, services: Services, host: Host
) -> None:
    kernel = await add_kernel(services, await asking.workspace(), asking.person["id"])
    assert await services.kernel_stopper.stop_everything({"code": "platform-stopped", "by": OPERATOR.name}) == 1
    assert host.told[-1] == f"kernels/{kernel}/stop"
    assert await services.kernel_stopper.count_left() == 1


async def test_output_that_is_waited_for_is_asked_as_the_host_reads_it(
    asking: Asking, services: Services, host: Host
) -> None:
    kernel = await add_kernel(services, await asking.workspace(), asking.person["id"])
    for wait, seconds in (("0", 0), ("0.5", 1), ("60", 60)):
        reply = await asking.client.get(f"{K}/{kernel}/output", params={"wait": wait})
        assert reply.status_code == 200
        assert number(dict(parse_qsl(host.app.seen[-1].query)), "wait") == seconds


async def test_lists_are_paged_and_filtered(asking: Asking, services: Services, clock: ManualClock) -> None:
    churn, other, mine = await asking.workspace(), await asking.workspace("other"), []
    for workspace in (churn, churn, other):
        clock.advance(timedelta(seconds=1))
        mine.append(await add_kernel(services, workspace, asking.person["id"]))
    page = (await asking.client.get(K, params={"limit": 2})).json()
    assert [item["id"] for item in page["items"]] == mine[:0:-1]
    rest = (await asking.client.get(K, params={"limit": 2, "cursor": page["next_cursor"]})).json()
    assert ([item["id"] for item in rest["items"]], rest["next_cursor"]) == (mine[:1], None)
    of_other = (await asking.client.get(K, params={"workspace": "other"})).json()["items"]
    assert [item["id"] for item in of_other] == mine[2:]
    await services.kernel_reports.end(mine[0], "exited", "It ended.", clock.now())
    ended = (await asking.client.get(K, params={"state": "ended"})).json()["items"]
    assert [item["id"] for item in ended] == mine[:1]
    assert len((await asking.client.get(K)).json()["items"]) == 2
    assert error(await asking.client.get(K, params={"cursor": "x"})) == "cursor-invalid"


async def test_kernels_that_ended_long_ago_are_forgotten(
    asking: Asking, services: Services, host: Host, clock: ManualClock
) -> None:
    kernel = await add_kernel(services, await asking.workspace(), asking.person["id"])
    await services.kernel_reports.end(kernel, "exited", "It ended.", clock.now())
    clock.advance(timedelta(days=2))
    await services.kernel_reconciler.look()
    async with services.db.read() as connection:
        assert await queries.find(connection, kernel) is None


async def test_a_host_that_is_away_is_said_so(asking: Asking, services: Services) -> None:
    kernel = await add_kernel(services, await asking.workspace(), asking.person["id"])
    for reply in (
        await asking.client.get(f"{K}/{kernel}/log"),
        await asking.client.post(K, json={"workspace": "churn"}),
        await asking.client.post(f"{K}/{kernel}/interrupt"),
    ):
        assert (reply.status_code, error(reply)) == (503, "kernel-host-unavailable")
        assert reply.json()["hint"]
