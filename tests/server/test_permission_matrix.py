"""Every operation on every door as every kind of caller: what the table of operations says is what happens.

The cases are made from the routes that the doors declare: an operation that no route here names must be listed in
ELSEWHERE with the test that tries it, and a route whose request is not understood fails until it has a sample below.
"""

import re
import shutil
import sqlite3
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import APIRouter

from server.conftest import ADDRESS, People
from server.kernel_host import Host, add_kernel, standing_in
from server.test_door import login
from studiolo.contract.errors import CODES
from studiolo.contract.models import KeyCreate
from studiolo.contract.operations import ADMIN_MAY, OPERATIONS, SCOPE_HOLDS, SCOPES, Access, Operation, Role
from studiolo.server.app import version_1
from studiolo.server.http.identity import check_operations
from studiolo.server.services import Services
from studiolo.server.settings import Settings
from studiolo.server.web import pages

V1 = "/api/v1"
W = f"{V1}/jupyter/workspaces"
# Scopes that anybody may give a key.
NARROW = [scope for scope in SCOPES if not scope.startswith("platform:")]
ABSENT = "w-0000000000000000"
ABSENT_SESSION = "s-0000000000000000"
ABSENT_KERNEL = "00000000-0000-4000-8000-000000000000"
# What is sent to each route that takes a body; every one of them would do something.
BODIES: dict[str, Any] = {
    "POST /sign-in": {"name": "ana", "password": "wrong"},
    "POST /sign-in/device": {},
    "POST /sign-in/device/token": {"device_code": "none"},
    "PUT /me/password": {"new": "a long enough pass phrase"},
    "POST /me/keys": {"name": "made"},
    "POST /people": {"name": "newcomer"},
    "PATCH /people/{person}": {"is_admin": True},
    "POST /people/{person}/hand-over": {"to": "ana"},
    "POST /invitations": {"to": "guest"},
    "POST /join": {"token": "none", "name": "guest", "password": "a long enough pass phrase"},
    "POST /notifications/read": {},
    "POST /jupyter/workspaces/{workspace}/requests": {"package": "tensorflow"},
    "POST /jupyter/requests/{request_id}/approve": {},
    "POST /jupyter/requests/{request_id}/deny": {"reason": "Security concern"},
    "POST /jupyter/workspaces/{workspace}/packages": {"package": "numpy", "version": "1.24.0"},
    "POST /jupyter/workspaces/{workspace}/packages/remove": {"packages": ["numpy"]},
    "POST /jupyter/workspaces/{workspace}/packages/check": {"packages": ["numpy"]},
    "POST /jupyter/workspaces/{workspace}/environment/rollback": {"to": 1},
    "POST /jupyter/workspaces/{workspace}/environment/restore": {"packages": ["six==1.17.0"]},
    "POST /jupyter/workspaces/{workspace}/environment/images": {},
    "PUT /jupyter/policy": {"document": "package_management: {}"},
    "POST /jupyter/policy/what-if": {"document": "package_management: {}"},
    "PUT /jupyter/workspaces/{workspace}/policy": {"document": "package_management: {}"},
    "POST /jupyter/workspaces/{workspace}/policy/what-if": {"document": "package_management: {}"},
    "POST /jupyter/workspaces/{workspace}/policy/guard": {"rule": "socket", "call": "socket.connect"},
    "POST /jupyter/bases": {"name": "made", "file": {"name": "requirements.txt", "text": "absent-and-invalid @ x"}},
    "POST /jupyter/packages/check": {"packages": ["numpy"]},
    "PUT /banner": {"text": "Restart at noon"},
    "POST /jupyter/workspaces": {"name": "made"},
    "PATCH /jupyter/workspaces/{workspace}": {"description": "changed"},
    "PUT /jupyter/workspaces/{workspace}/members": {"person": "sam", "role": "viewer"},
    "POST /jupyter/workspaces/{workspace}/scale": {"resources": {"cpu": 1}},
    "PUT /jupyter/workspaces/{workspace}/config": "resources:\n  cpu: 1\n",
    "POST /jupyter/workspaces/{workspace}/duplicate": {"name": "copied"},
    "POST /jupyter/workspaces/{workspace}/transfer": {"person": "ed"},
    "POST /jupyter/workspaces/{workspace}/reset": {"hard": False},
    "PUT /gpus/notify": {"count": 1},
    "POST /datasets": {"name": "made", "folder": "/srv", "everybody": True},
    "PATCH /datasets/{dataset}": {"description": "changed"},
    "POST /jupyter/workspaces/{workspace}/clone": {"url": "https://127.0.0.1/study.git"},
    "POST /jupyter/workspaces/{workspace}/move": {"engine": "absent"},
    "POST /jupyter/workspaces/{workspace}/shares": {"path": "a.ipynb"},
    "POST /jupyter/workspaces/{workspace}/files/folders": {"path": "made"},
    "POST /jupyter/workspaces/{workspace}/files/move": {"path": "a.ipynb", "to": "b.ipynb"},
    "POST /jupyter/workspaces/{workspace}/files/copy": {"path": "a.ipynb", "to": "b.ipynb"},
    "POST /jupyter/workspaces/{workspace}/scans": {},
    "PUT /jupyter/workspaces/{workspace}/scans/accepted/{finding}": {"reason": "looked at"},
    "POST /jupyter/workspaces/{workspace}/sessions": {},
    "POST /workspaces/{workspace}/kernelspecs": {"name": "big"},
    "POST /jupyter/sessions/{session}/snooze": {"minutes": 5},
    "POST /sessions/{session}/report": {"kernels": 1},
    "POST /sessions/{session}/here": {"open": []},
    "POST /sessions/{session}/kernels/reserve": {"wish": {"kernel_id": ABSENT_KERNEL, "spec_name": "python3"}},
    "POST /sessions/{session}/kernels/started": {"id": ABSENT_KERNEL, "ok": True},
    "POST /sessions/{session}/kernels/ended": {
        "id": ABSENT_KERNEL,
        "exit": {"reason": "exited", "message": "", "at": "2026-11-22T00:00:00Z"},
    },
    "POST /sessions/{session}/kernels/report": {"kernels": []},
}
BY_BODY = {"POST /kernels", "POST /jupyter/sessions", "POST /jupyter/services", "POST /notebook"}
UNSEEN = {"workspace-not-found", "session-not-found", "kernel-not-found"}
# They answer by who the caller is, whatever the role: a session's key alone may report.
OWN_RULE = {
    "POST /sessions/{session}/report",
    "POST /sessions/{session}/here",
    *(f"POST /sessions/{{session}}/kernels/{what}" for what in ("reserve", "started", "ended", "report")),
}


# What a page's form sends, where the page would not come as far as asking for the right without it.
FORMS: dict[str, dict[str, str]] = {
    "POST /workspaces": {"name": "made"},
    "POST /engines/gpus/notify": {"count": "1"},
    "POST /w/{workspace}/move": {"engine": "local"},
    "POST /w/{workspace}/people": {"person": "sam", "role": "viewer"},
    "POST /w/{workspace}/people/remove": {"person": "cy"},
    "POST /w/{workspace}/kernelspecs": {"name": "big"},
    "POST /w/{workspace}/settings": {"name": "changed", "description": "changed"},
    "POST /w/{workspace}/size": {"cpu": "1", "memory": "1g"},
    "POST /w/{workspace}/config": {"config": "resources:\n  cpu: 1\n"},
    "POST /w/{workspace}/duplicate": {"name": "copied"},
    "POST /w/{workspace}/transfer": {"person": "ed"},
    "POST /go/{session_id}": {"password": "wrong"},
    "POST /admin/policy": {"document": "package_management:"},
    "POST /admin/policy/what-if": {"document": "package_management:"},
    "POST /w/{workspace}/policy": {"document": "package_management:"},
    "POST /w/{workspace}/policy/what-if": {"document": "package_management:"},
    "POST /w/{workspace}/request": {"package": "tensorflow"},
    "POST /w/{workspace}/security/accept": {"finding": "none", "reason": "looked at"},
    "POST /bases": {"name": "made", "packages": "no package at all"},
    "POST /w/{workspace}/environment/install": {"packages": "numpy"},
    "POST /w/{workspace}/environment/remove": {"package": "numpy"},
    "POST /w/{workspace}/environment/rollback": {"to": "1"},
    "POST /w/{workspace}/environment/cancel": {"build": "1"},
    "POST /w/{workspace}/environment/image": {},
    "POST /w/{workspace}/environment/image/remove": {"image": "aaaaaaaaaaaa"},
    "POST /w/{workspace}/away": {"kernel": "{kernel}"},
    "POST /w/{workspace}/make-folder": {"name": "data"},
    "POST /w/{workspace}/delete-files": {"path": "a.ipynb"},
    "POST /w/{workspace}/download-files": {"path": "a.ipynb"},
    "POST /w/{workspace}/history/restore": {"path": "a.ipynb", "version": "none"},
    "POST /account/password": {"new": "a long enough pass phrase"},
    "POST /account/keys": {"name": "made"},
    "POST /admin/people/invitations": {"to": "guest"},
    "POST /admin/people/{person}/administrator": {"is_admin": "yes"},
    "POST /admin/people/{person}/hand-over": {"to": "ana"},
    "POST /admin/people/{person}/erase": {"confirm": "zoe"},
    "POST /admin/banner": {"text": "Restart at noon"},
}
# Operations that only the front door asks about, with the tests that try each of them for each role.
ELSEWHERE = {
    "session.execute": "tests/server/test_door.py",
    "platform.metrics": "tests/server/test_metrics.py",
    "package.download": "tests/server/packages/test_index_door.py",
    # The same route as any installation, with `force`.
    "environment.force": "tests/server/environments/test_force.py",
}
# For all who may see the workspace: who may not act is told whom to ask, output is left out, bytes have a door.
SHOWN_ANYWAY = {"GET /w/{workspace}/launch", "GET /w/{workspace}/away", "POST /w/{workspace}/download-files"}


@dataclass(frozen=True)
class Route:
    """One route and the operation that it names. `prefix`: what stands before its path; pages have none."""

    method: str
    path: str
    operation: Operation
    prefix: str = V1

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def is_page(self) -> bool:
        return not self.prefix

    @property
    def on_workspace(self) -> bool:
        if self.path.startswith("/trash/"):
            return False
        return bool(re.search(r"\{(workspace|session|session_id|kernel|owner)\}", self.path)) or self.name in BY_BODY


ROUTES = [Route(method, path, OPERATIONS[name]) for method, path, name in check_operations(version_1().routes)]
# The same sessions have three addresses; a right that is given at one is given at all.
UNIQUE = [route for route in ROUTES if not route.path.startswith(("/jupyter/services", "/notebook"))]
PAGES = [
    Route(method, path, OPERATIONS[name], prefix="")
    for router in pages.ROUTERS
    for method, path, name in check_operations(router.routes)
]


class _Absent(dict[str, str]):
    """What stands in an address for things of which nothing is there."""

    def __missing__(self, name: str) -> str:
        return "none"


@dataclass
class World:
    """A workspace of ana with a running session, and clients of everybody else."""

    workspace: str
    session: str
    kernel: str
    services: Services
    callers: dict[str, httpx.AsyncClient]
    browsers: dict[str, httpx.AsyncClient]
    name: str = "churn"
    version: int | None = -1
    rows: set[str] = field(default_factory=set)

    async def send(self, route: Route, caller: str, *, absent: bool = False) -> httpx.Response:
        """Send a request that the route understands; `absent`: about what does not exist."""
        there = (self.workspace, self.session, self.kernel)
        workspace, session, kernel = (ABSENT, ABSENT_SESSION, ABSENT_KERNEL) if absent else there
        known = _Absent(
            workspace=workspace,
            session=session,
            session_id=session,
            kernel=kernel,
            workspace_id=workspace,
            owner="ana",
            name="nothing" if absent else self.name,
            person="cy" if "{workspace}" in route.path else "zoe",
            path="a.ipynb",
            number="999" if absent else "1",
        )
        path = route.prefix + re.sub(r":\w+\}", "}", route.path).format_map(known)
        params = {
            "confirm": "churn" if "trash" in route.path else "zoe",
            "path": "a.ipynb",
            "q": "x",
            "from": "none",
            "name": "numpy",
        }
        params |= {"before": "1", "after": "1"}
        if route.is_page:
            form = {field: value.format_map(known) for field, value in FORMS.get(route.name, {}).items()}
            return await self.browsers[caller].request(route.method, path, data=form)
        body = {"workspace": workspace} if route.name in BY_BODY else BODIES.get(route.name)
        if isinstance(body, str):
            return await self.callers[caller].request(route.method, path, content=body, params=params)
        return await self.callers[caller].request(route.method, path, json=body, params=params)

    def changes(self) -> set[str]:
        """Return the rows that came or went since this was last asked; cheap where nothing was committed."""
        version = self.services.db.version()
        if version == self.version:
            return set()
        with sqlite3.connect(self.services.settings.data_dir / "studiolo.db") as database:
            lines = {line for line in database.iterdump() if "INSERT" in line and "sqlite_stat" not in line}
        changed = lines ^ self.rows
        self.version, self.rows = version, lines
        return changed


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    run_dir = Path(tempfile.mkdtemp(prefix="st-", dir="/tmp"))
    yield Settings(data_dir=tmp_path / "data", port=28888, run_dir=run_dir)
    shutil.rmtree(run_dir)


@pytest.fixture
async def host(services: Services) -> AsyncIterator[Host]:
    async with standing_in(services) as host:
        yield host


@pytest.fixture
async def world(people: People, services: Services, host: Host) -> AsyncIterator[World]:
    who = {name: await people.add(name) for name in ("ana", "ed", "vi", "cy", "sam", "zoe")}
    who["boss"] = await people.add("boss", is_admin=True)
    headers: dict[str, dict[str, str]] = {"anonymous": {}}
    for caller, name in (("owner", "ana"), ("editor", "ed"), ("viewer", "vi"), ("stranger", "sam"), ("admin", "boss")):
        key = (await services.keys.create_key(who[name], KeyCreate(name="all"))).key
        headers[caller] = {"Authorization": f"Bearer {key}"}
    for scope in NARROW:
        key = (await services.keys.create_key(who["ana"], KeyCreate(name=scope, scopes=[scope]))).key
        headers[scope] = {"Authorization": f"Bearer {key}"}
    revoked = await services.keys.create_key(who["ana"], KeyCreate(name="revoked"))
    await services.keys.revoke_key(who["ana"], revoked.id)
    headers["revoked key"] = {"Authorization": f"Bearer {revoked.key}"}
    token = await login(services, "ana")
    cookie = {"Cookie": f"{services.cookies.login}={token}", "Origin": ADDRESS}
    await services.accounts.sign_out(await services.authentication.by_login(token))
    headers["ended login"] = cookie
    token = await login(services, "ana")
    # Another site's page can have a browser send the cookie, but not what proves that a change was meant.
    headers["forged"] = {"Cookie": f"{services.cookies.login}={token}", "Origin": "http://evil.example"}
    callers = {name: people.anonymous(sent) for name, sent in headers.items()}
    owner = callers["owner"]
    workspace, session = await make_workspace(owner, "churn")
    key = services.session_secrets.api_key(session, 1)
    callers["session key"] = people.anonymous({"Authorization": f"Bearer {key}"})
    kernel = host.starts = await add_kernel(services, workspace, who["ana"].person_id)
    browsers = {name: people.anonymous(headers[name]) for name in ("anonymous", "ended login", "forged")}
    for caller, name in (("owner", "ana"), ("editor", "ed"), ("viewer", "vi"), ("stranger", "sam"), ("admin", "boss")):
        browsers[caller] = people.anonymous(await as_browser(services, name))
    # Keys open pages too, as far as they go.
    browsers |= {scope: callers[scope] for scope in NARROW} | {"session key": callers["session key"]}
    yield World(workspace, session, kernel, services, callers, browsers)
    for client in (*callers.values(), *browsers.values()):
        await client.aclose()


async def as_browser(services: Services, name: str) -> dict[str, str]:
    """Sign somebody in; return what their browser sends with a form of ours."""
    token = await login(services, name)
    csrf = services.identity.csrf_token(await services.authentication.by_login(token))
    return {"Cookie": f"{services.cookies.login}={token}", "Origin": ADDRESS, "X-CSRF-Token": csrf}


async def make_workspace(owner: httpx.AsyncClient, name: str) -> tuple[str, str]:
    """Make a workspace with members and a running session of its owner; returns the ids of both."""
    workspace = (await owner.post(W, json={"name": name})).json()["id"]
    for person, role in (("ed", "editor"), ("vi", "viewer"), ("cy", "viewer")):
        await owner.put(f"{W}/{workspace}/members", json={"person": person, "role": role})
    session = (await owner.post(f"{W}/{workspace}/sessions", params={"wait": 5})).json()
    assert session["state"] == "running", session
    return workspace, session["id"]


def check_shape(route: Route, caller: str, reply: httpx.Response) -> None:
    """Whatever the answer, it is one of ours; parts that do not run here are away."""
    is_away = reply.status_code == 503 and (route.is_page or reply.json()["code"].endswith("-unavailable"))
    assert reply.status_code < 500 or is_away, (route.name, caller, reply.text)
    if route.is_page:
        return
    if reply.status_code >= 400:
        assert reply.headers["content-type"] == "application/problem+json", (route.name, caller)
        assert reply.json()["code"] in CODES, (route.name, caller, reply.text)


def needed_of(route: Route) -> Role | None:
    """The least role: what is more than looking is for the session's own person, and the workspace's owners."""
    role = route.operation.role
    return Role.OWNER if "{session}" in route.path and role is Role.EDITOR else role


def refusals(route: Route) -> dict[str, tuple[int, set[str]]]:
    """Return how the table of operations has each caller refused: status and codes. Others are let in."""
    rule, found = route.operation, {}
    if rule.access is Access.PUBLIC:
        return {}
    for caller in ("anonymous", "ended login", "revoked key"):
        found[caller] = (401, {"not-signed-in", "login-ended", "key-invalid"})
    if route.method != "GET":
        found["forged"] = (403, {"origin-mismatch"})
    for scope in NARROW:
        if rule.scope not in {scope, *SCOPE_HOLDS.get(scope, ())}:
            found[scope] = (403, {"scope-missing", "denied"})
    if rule.access is Access.ADMIN:
        for caller in ("owner", "editor", "viewer", "stranger", "session key"):
            found[caller] = (403, {"denied", "scope-missing"})
    if route.on_workspace and route.name not in OWN_RULE:
        found["stranger"] = (404, UNSEEN)
        for caller, role in (("editor", Role.EDITOR), ("viewer", Role.VIEWER)):
            needed = needed_of(route)
            if needed is not None and not role.includes(needed):
                found[caller] = (403, {"denied"})
        if rule.role is not None and rule.name not in ADMIN_MAY:
            found["admin"] = (403, {"denied"})
    return found


def page_refusals(route: Route) -> dict[str, set[int]]:
    """The same for pages: nobody is led to the sign-in, and what one may not know of is missing."""
    found = {}
    for caller, (status, _) in refusals(route).items():
        if status == 401:
            if caller != "revoked key":
                found[caller] = {303}
        elif caller in ("viewer", "admin") and route.name in SHOWN_ANYWAY:
            continue
        else:
            # An administrator's page says nothing to others, not even that it is there.
            found[caller] = {404, 403} if route.operation.access is Access.ADMIN else {status}
    return found


def in_order(routes: list[Route]) -> list[Route]:
    return sorted(routes, key=lambda route: (route.path, route.method))


def test_a_route_that_names_no_operation_stops_the_start() -> None:
    outer, inner = APIRouter(), APIRouter()
    inner.add_api_route("/open", lambda: "to everybody")
    outer.include_router(inner, prefix="/deep")
    with pytest.raises(RuntimeError, match="/deep/open must name one operation"):
        check_operations(outer.routes)


def test_every_operation_is_tried_on_a_door_that_it_has() -> None:
    tried = {route.operation.name for route in (*ROUTES, *PAGES)}
    assert tried | ELSEWHERE.keys() == OPERATIONS.keys()
    assert not tried & ELSEWHERE.keys()
    assert all((Path(__file__).parents[2] / test).exists() for test in ELSEWHERE.values())


async def test_everybody_without_the_right_is_refused_and_changes_nothing(world: World) -> None:
    wrong: list[tuple[Any, ...]] = []
    world.changes()
    for route in in_order(ROUTES):
        for caller, (status, codes) in refusals(route).items():
            reply = await world.send(route, caller)
            check_shape(route, caller, reply)
            if reply.status_code != status or reply.json()["code"] not in codes:
                wrong.append((route.name, route.operation.name, caller, reply.status_code, reply.text[:200]))
        if changed := world.changes():
            wrong.append((route.name, "changed", changed))
    assert not wrong, "\n".join(map(str, wrong))


async def test_pages_refuse_everybody_without_the_right_and_change_nothing(world: World) -> None:
    wrong: list[tuple[Any, ...]] = []
    world.changes()
    for route in in_order(PAGES):
        for caller, statuses in page_refusals(route).items():
            reply = await world.send(route, caller)
            to_sign_in = reply.headers.get("location", "").startswith("/sign-in")
            if reply.status_code not in statuses or (reply.status_code == 303 and not to_sign_in):
                wrong.append((route.name, route.operation.name, caller, reply.status_code, statuses))
        if changed := world.changes():
            wrong.append((route.name, "changed", changed))
    assert not wrong, "\n".join(map(str, wrong))


async def test_pages_are_shown_to_whoever_may_see_them(world: World) -> None:
    wrong = []
    world.changes()
    shown = [route for route in PAGES if route.method == "GET" and route.operation.access is not Access.PUBLIC]
    for route in in_order(shown):
        for caller in weakest(route):
            reply = await world.send(route, caller)
            check_shape(route, caller, reply)
            to_sign_in = reply.headers.get("location", "").startswith("/sign-in")
            if to_sign_in or reply.status_code in (401, 403, 404, 422):
                wrong.append((route.name, route.operation.name, caller, reply.status_code))
    assert not wrong, "\n".join(map(str, wrong))
    assert not world.changes()


async def test_what_is_foreign_looks_absent(world: World) -> None:
    def bare(reply: httpx.Response) -> tuple[int, str]:
        text = re.sub(r'"request_id":"\w+"', "", reply.text)
        for name in (world.workspace, world.session, world.kernel, ABSENT, ABSENT_SESSION, ABSENT_KERNEL):
            text = text.replace(name, "ID")
        return reply.status_code, text

    for route in ROUTES:
        if route.on_workspace or "{workspace_id}" in route.path:
            foreign, absent = await world.send(route, "stranger"), await world.send(route, "stranger", absent=True)
            assert bare(foreign) == bare(absent), route.name


async def test_a_sessions_key_reaches_no_other_workspace_and_no_account(world: World, host: Host) -> None:
    other = (await world.callers["owner"].post(W, json={"name": "other"})).json()["id"]
    launched = (await world.callers["owner"].post(f"{W}/{other}/sessions", params={"wait": 5})).json()
    kernel = await add_kernel(world.services, other, launched["person"]["id"])
    elsewhere = World(other, launched["id"], kernel, world.services, world.callers, world.browsers, "other")
    for route in ROUTES:
        if route.operation.access is Access.PUBLIC:
            continue
        reply = await elsewhere.send(route, "session key")
        check_shape(route, "session key", reply)
        if route.on_workspace:
            assert reply.status_code in (403, 404), (route.name, reply.text)
        assert other not in reply.text.replace(reply.json().get("detail", "") if reply.status_code >= 400 else "", "")


def weakest(route: Route) -> list[str]:
    """The weakest callers that the table lets in."""
    rule = route.operation
    if rule.access is Access.PUBLIC:
        return ["anonymous"]
    if rule.access is Access.ADMIN:
        return ["admin"]
    if route.name in OWN_RULE:
        return ["session key"]
    if route.on_workspace:
        caller = {Role.OWNER: "owner", Role.EDITOR: "editor", Role.VIEWER: "viewer", None: "viewer"}[needed_of(route)]
        return [caller, *(["admin"] if rule.name in ADMIN_MAY else [])]
    return ["stranger"]


async def test_who_has_the_right_is_let_in(world: World, host: Host) -> None:
    changes = in_order([route for route in UNIQUE if route.method != "GET"])
    cases = [(route, caller) for route in changes for caller in weakest(route)]
    # A session's key ends with it.
    cases.sort(key=lambda case: case[0].name not in OWN_RULE)
    for number, (route, caller) in enumerate(cases):
        if route.on_workspace and route.name not in OWN_RULE and not await is_as_made(world):
            # Nobody may have more than so many running.
            await world.callers["owner"].post(f"{V1}/jupyter/sessions/{world.session}/stop")
            world.workspace, world.session = await make_workspace(world.callers["owner"], f"churn-{number}")
            me = (await world.callers["owner"].get(f"{V1}/me")).json()["id"]
            world.kernel = host.starts = await add_kernel(world.services, world.workspace, me)
        reply = await world.send(route, caller)
        check_shape(route, caller, reply)
        assert reply.status_code not in (401, 403) or route.name == "POST /sign-in", (route.name, caller, reply.text)
        if route.on_workspace and reply.content and "json" in reply.headers["content-type"]:
            assert reply.json().get("code") not in UNSEEN, (route.name, caller, reply.text)


async def is_as_made(world: World) -> bool:
    """Tell whether what the last case did left workspace, members, session and kernel as they were made."""
    owner = world.callers["owner"]
    members = await owner.get(f"{W}/{world.workspace}/members")
    roles = {m["person"]["name"]: m["role"] for m in members.json()} if members.status_code == 200 else {}
    session = await owner.get(f"{V1}/jupyter/sessions/{world.session}")
    kernel = await owner.get(f"{V1}/kernels/{world.kernel}")
    return (
        roles == {"ana": "owner", "ed": "editor", "vi": "viewer", "cy": "viewer"}
        and session.status_code == kernel.status_code == 200
        and (session.json()["state"], session.json()["launch"]) == ("running", 1)
        and kernel.json()["state"] == "idle"
    )


async def test_who_may_read_is_answered(world: World) -> None:
    for route in in_order([route for route in UNIQUE if route.method == "GET" and "stream" not in route.path]):
        for caller in weakest(route):
            reply = await world.send(route, caller)
            check_shape(route, caller, reply)
            assert is_let_in(reply), (route.name, caller, reply.text)


def is_let_in(reply: httpx.Response) -> bool:
    """Tell whether a caller came as far as the thing itself: it may be empty, or its part may not run here."""
    if reply.status_code == 200:
        return True
    return reply.status_code in (404, 503) and reply.json()["code"] not in UNSEEN
