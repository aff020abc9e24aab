"""A host of a platform: it believes the front door's header, asks the control plane, and starts sessions' kernels."""

import asyncio
import base64
import json
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
from aiohttp import web

from studiolo.gateway.composition import Host
from studiolo.gateway.platform import PlatformAuthority
from studiolo.gateway.settings import HostSettings
from studiolo.gateway.starting.launching import LocalLauncher
from studiolo.testing.waiting import eventually

SECRET = "secret-of-the-host"
SESSION = "s-00000001.3"
WORKSPACE = "w-00000001"
ORIGIN = "https://s-00000001.example.org"
SECONDS = 60


@dataclass
class ControlPlane:
    """Stands in for the control plane: answers as told, keeps what it was asked."""

    folder: Path
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    refusal: dict[str, Any] | None = None
    unwanted: list[str] = field(default_factory=list)
    # A kernel of another engine, as it answers for whatever may start there.
    elsewhere: dict[str, Any] | None = None
    runner: web.AppRunner | None = None

    async def start(self, socket: Path) -> None:
        app = web.Application()
        app.router.add_post("/_kernels/{what}", self.answer)
        self.runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self.runner.setup()
        await web.UnixSite(self.runner, str(socket)).start()

    async def stop(self) -> None:
        assert self.runner is not None
        await self.runner.cleanup()

    async def answer(self, request: web.Request) -> web.Response:
        assert request.headers["X-Studiolo-Secret"] == SECRET
        what, body = request.path.rpartition("/")[2], await request.json()
        self.asked.append((what, body))
        if what == "reserve" and self.refusal:
            return web.json_response(self.refusal, status=429)
        if what == "elsewhere":
            return web.json_response({"kernels": [self.elsewhere] if self.elsewhere else []})
        if what == "reserve" and self.elsewhere and not body["wish"]["only_here"]:
            return web.json_response({"elsewhere": self.elsewhere})
        if what == "reserve" and body["caller"]["scope"].startswith("w-"):
            return web.json_response({"plan": self.plan(body)})
        return web.json_response({"unwanted": self.unwanted} if what == "report" else {})

    def plan(self, body: dict[str, Any]) -> dict[str, Any]:
        argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        members = {"kernel_id": body["wish"]["kernel_id"], "scope": body["caller"]["scope"], "spec_name": "python3"}
        return {**members, "argv": argv, "environment": None, "folder": str(self.folder), "variables": {"PATH": "/bin"}}

    def told(self, what: str) -> list[dict[str, Any]]:
        return [body for name, body in self.asked if name == what]


@dataclass
class Door:
    """Requests as the front door passes them on, for one person."""

    http: aiohttp.ClientSession
    control: ControlPlane
    host: Host
    folder: Path

    def headers(self, scope: str, *, rights: str = "see execute start", origin: str | None = None) -> dict[str, str]:
        person = {"id": "p-1", "name": "ann", "display_name": "Ann"}
        prefix = f"/s/{scope.partition('.')[0]}/" if scope.startswith("s-") else f"/w/{scope}/"
        caller = {"scope": scope, "rights": rights.split(), "person": person, "login": "l-1", "prefix": prefix}
        header = base64.urlsafe_b64encode(json.dumps(caller | {"origin": origin}).encode()).decode().rstrip("=")
        return {"X-Studiolo-Secret": SECRET, "X-Studiolo-Kernels": header}

    async def ask(self, method: str, path: str, scope: str, *, body: Any = None, **caller: Any) -> tuple[int, Any]:
        """Return status and JSON of a request beneath the scope's prefix."""
        origin = {"Origin": caller.pop("page")} if "page" in caller else {}
        headers = self.headers(scope, **caller) | origin
        prefix = f"/s/{scope.partition('.')[0]}/" if scope.startswith("s-") else f"/w/{scope}/"
        async with self.http.request(method, f"{prefix}{path}", headers=headers, json=body) as reply:
            return reply.status, await reply.json() if reply.status != 204 else None

    async def environ(self, scope: str, kernel: str) -> dict[str, str]:
        """Return the kernel's environment variables."""
        address = f"/s/{scope.partition('.')[0]}/api/kernels/{kernel}/channels"
        header = {"msg_id": "m", "msg_type": "execute_request", "session": "t", "username": "", "version": "5.3"}
        content = {"code": "import json, os; print(json.dumps(dict(os.environ)))", "silent": False}
        message = {"channel": "shell", "header": header, "parent_header": {}, "metadata": {}, "content": content}
        async with self.http.ws_connect(address, headers=self.headers(scope)) as socket, asyncio.timeout(SECONDS):
            await socket.send_json(message)
            while (got := await socket.receive_json())["header"]["msg_type"] != "stream":
                pass
            environ: dict[str, str] = json.loads(got["content"]["text"])
            return environ

    async def tell(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Ask as the control plane does."""
        headers = {"X-Studiolo-Secret": SECRET}
        async with self.http.request(method, f"/_host/{path}", headers=headers, json=body) as reply:
            return reply.status, await reply.json() if reply.status != 204 else None


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    folder = Path(tempfile.mkdtemp(prefix="sp-", dir="/tmp"))
    (folder / "work").mkdir()
    control = ControlPlane(folder / "work")
    await control.start(folder / "control.sock")
    authority = PlatformAuthority(secret=SECRET, control=folder / "control.sock", run=folder)
    launcher = LocalLauncher(folder / "data" / "kernels", folder / "k")
    settings = HostSettings(data=folder / "data", run=folder, secret=SECRET)
    host = await Host.open(settings, launcher, authority)
    await host.listen_unix(folder / "host.sock")
    connector = aiohttp.UnixConnector(str(folder / "host.sock"))
    async with aiohttp.ClientSession("http://host", connector=connector) as http:
        yield Door(http, control, host, folder)
    await host.close(end_kernels=True)
    await authority.close()
    await launcher.aclose()
    await control.stop()
    shutil.rmtree(folder, ignore_errors=True)


def start_session(door: Door, **members: Any) -> None:
    """Write what a session's shim writes."""
    folder = door.folder / "s" / SESSION
    specs = folder / "specs" / "python3"
    specs.mkdir(parents=True)
    (folder / "kernels").mkdir()
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (specs / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "Python 3", "language": "python"}))
    grounds = {
        "environment": sys.prefix,
        "folder": str(door.folder / "work"),
        "start_folder": "",
        "variables": {"PATH": "/bin", "OF_SESSION": "yes"},
        "groups": {},
        "group": "",
        "marker": SESSION,
        "kernelspecs": [str(specs.parent)],
        "register": str(folder / "kernels"),
        "limits": {"cpu": 2, "memory": 1 << 30, "processes": None},
    }
    (folder / "kernels.json").write_text(json.dumps(grounds | members))


async def test_without_the_secret_nothing_is_answered(door: Door) -> None:
    headers = door.headers(WORKSPACE)
    for wrong in ({}, headers | {"X-Studiolo-Secret": "x"}, {"X-Studiolo-Secret": SECRET}):
        async with door.http.get(f"/w/{WORKSPACE}/api/kernels", headers=wrong) as reply:
            assert reply.status == 401
    for wrong in ({}, {"X-Studiolo-Secret": "x"}):
        async with door.http.get("/_host/kernels", headers=wrong) as reply:
            assert reply.status == 404


async def test_sockets_are_closed_in_the_scopes_that_are_named_alone(door: Door) -> None:
    sockets = {}
    for scope in (WORKSPACE, "w-elsewhere"):
        _, kernel = await door.ask("POST", "api/kernels", scope)
        address = f"/w/{scope}/api/kernels/{kernel['id']}/channels"
        sockets[scope] = await door.http.ws_connect(address, headers=door.headers(scope))
    assert (await door.tell("POST", "close", {"logins": ["l-1"], "scopes": [WORKSPACE]}))[0] == 204
    async with asyncio.timeout(SECONDS):
        while (await sockets[WORKSPACE].receive()).type is not aiohttp.WSMsgType.CLOSE:
            pass
        # It still answers.
        await sockets["w-elsewhere"].ping()
        header = {"msg_id": "m", "msg_type": "kernel_info_request", "session": "t", "username": "", "version": "5.3"}
        asked = {"channel": "shell", "header": header, "parent_header": {}, "metadata": {}, "content": {}}
        await sockets["w-elsewhere"].send_json(asked)
        while (await sockets["w-elsewhere"].receive_json())["header"]["msg_type"] != "kernel_info_reply":
            pass
        assert (await door.tell("POST", "close", {"logins": ["l-1"]}))[0] == 204
        while (await sockets["w-elsewhere"].receive()).type is not aiohttp.WSMsgType.CLOSE:
            pass
    assert (await door.tell("POST", "close", {"logins": [], "scopes": "all"}))[0] == 400


@pytest.mark.req("S1-25")
async def test_a_workspaces_kernel_is_reserved_started_reported_and_ended(door: Door) -> None:
    status, kernel = await door.ask("POST", "api/kernels", WORKSPACE, body={"env": {"KERNEL_X": "1"}})
    assert status == 201, kernel
    reserved = door.control.told("reserve")[0]
    assert reserved["wish"]["kernel_id"] == kernel["id"]
    assert reserved["wish"]["variables"] == {"KERNEL_X": "1"}
    assert reserved["caller"]["person_id"] == "p-1"
    await eventually(lambda: {"id": kernel["id"], "ok": True, "message": ""} in door.control.told("started"))
    await eventually(lambda: any(report["kernels"] for report in door.control.told("report")))
    assert (await door.tell("GET", f"kernels?scope={WORKSPACE}"))[1]["kernels"][0]["id"] == kernel["id"]
    assert (await door.tell("POST", f"kernels/{kernel['id']}/stop"))[0] == 204
    await eventually(lambda: door.control.told("ended"))
    assert door.control.told("ended")[0]["id"] == kernel["id"]


@pytest.mark.req("S1-28")
async def test_a_sessions_kernel_gets_its_sessions_variables_folder_and_registration(door: Door) -> None:
    start_session(door)
    listed = (await door.ask("GET", "api/kernelspecs", SESSION))[1]["kernelspecs"]["python3"]["spec"]
    assert listed["metadata"]["studiolo"]["resources"] == {"cpu": 2, "memory": 1 << 30}
    body = {"path": "n.ipynb", "type": "notebook", "kernel": {"name": "python"}}
    status, made = await door.ask("POST", "api/sessions", SESSION, body=body)
    assert status == 201, made
    kernel = made["kernel"]["id"]
    environ = await door.environ(SESSION, kernel)
    assert environ["OF_SESSION"] == "yes"
    assert environ["JPY_SESSION_NAME"] == str(door.folder / "work" / "n.ipynb")
    assert environ["KERNEL_USERNAME"] == "ann"
    assert (door.folder / "s" / SESSION / "kernels" / f"{kernel}.json").exists()
    assert (await door.tell("POST", "stop", {"scope": SESSION}))[0] == 204
    assert (await door.ask("GET", "api/kernels", SESSION))[1] == []


async def test_a_session_that_does_not_run_starts_no_kernel(door: Door) -> None:
    status, reply = await door.ask("POST", "api/kernels", SESSION)
    assert (status, reply["code"]) == (409, "session-not-running")
    assert door.control.told("reserve") == []


@pytest.mark.parametrize("scope", [WORKSPACE, SESSION])
async def test_a_name_that_no_variable_can_have_is_named_before_anything_is_reserved(door: Door, scope: str) -> None:
    start_session(door)
    status, reply = await door.ask("POST", "api/kernels", scope, body={"env": {"KERNEL_X": "1", "A=B": "2"}})
    assert (status, reply["code"]) == (400, "request-invalid")
    assert "'A=B' is no name of a variable" in reply["message"]
    assert door.control.told("reserve") == []


async def test_what_the_control_plane_refuses_is_passed_on(door: Door) -> None:
    door.control.refusal = {"kind": "limit", "code": "limit-exceeded", "detail": "Enough.", "hint": "Stop one."}
    status, reply = await door.ask("POST", "api/kernels", WORKSPACE)
    assert (status, reply["message"]) == (429, "Enough. Stop one.")
    assert (await door.ask("GET", "api/kernels", WORKSPACE))[1] == []


@pytest.mark.req("S1-26")
async def test_a_viewer_sees_kernels_and_does_nothing_with_them(door: Door) -> None:
    kernel = (await door.ask("POST", "api/kernels", WORKSPACE))[1]["id"]
    assert (await door.ask("GET", f"api/kernels/{kernel}", WORKSPACE, rights="see"))[0] == 200
    for method, path in (
        ("POST", "api/kernels"),
        ("POST", "api/sessions"),
        ("POST", f"api/kernels/{kernel}/interrupt"),
        ("POST", f"api/kernels/{kernel}/restart"),
        ("DELETE", f"api/kernels/{kernel}"),
        ("POST", "studiolo/kernelspecs"),
    ):
        assert (await door.ask(method, path, WORKSPACE, body={}, rights="see"))[0] == 403, path
    assert (await door.ask("GET", "api/kernels", WORKSPACE, rights=""))[0] == 403


async def test_another_scopes_kernel_looks_like_an_absent_one(door: Door) -> None:
    kernel = (await door.ask("POST", "api/kernels", WORKSPACE))[1]["id"]
    foreign = await door.ask("GET", f"api/kernels/{kernel}", "w-00000002")
    absent = await door.ask("GET", f"api/kernels/{uuid4()}", "w-00000002")
    assert foreign[0] == absent[0] == 404
    assert foreign[1]["code"] == absent[1]["code"]


@pytest.mark.req("S1-23")
@pytest.mark.parametrize(("page", "status"), [(ORIGIN, 204), ("https://evil.example", 403), (None, 403)])
async def test_who_is_known_by_a_cookie_changes_things_from_its_own_page_only(
    door: Door, page: str | None, status: int
) -> None:
    kernel = (await door.ask("POST", "api/kernels", WORKSPACE))[1]["id"]
    sent = {} if page is None else {"page": page}
    interrupted = await door.ask("POST", f"api/kernels/{kernel}/interrupt", WORKSPACE, origin=ORIGIN, **sent)
    assert interrupted[0] == status
    headers = door.headers(WORKSPACE, origin=ORIGIN) | ({} if page is None else {"Origin": page})
    address = f"/w/{WORKSPACE}/api/kernels/{kernel}/channels"
    if status == 204:
        async with door.http.ws_connect(address, headers=headers) as socket:
            assert (await socket.receive()).type is aiohttp.WSMsgType.TEXT
    else:
        with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
            await door.http.ws_connect(address, headers=headers)


async def test_sockets_of_an_ended_login_are_closed(door: Door) -> None:
    kernel = (await door.ask("POST", "api/kernels", WORKSPACE))[1]["id"]
    address = f"/w/{WORKSPACE}/api/kernels/{kernel}/channels"
    async with door.http.ws_connect(address, headers=door.headers(WORKSPACE)) as socket:
        assert (await door.tell("POST", "close", {"logins": ["l-1"]}))[0] == 204
        async with asyncio.timeout(5):
            while (message := await socket.receive()).type is aiohttp.WSMsgType.TEXT:
                pass
        assert (message.type, socket.close_code) == (aiohttp.WSMsgType.CLOSE, 1008)


async def test_a_kernel_that_nobody_wants_is_ended(door: Door) -> None:
    kernel = (await door.ask("POST", "api/kernels", WORKSPACE))[1]["id"]
    door.control.unwanted = [kernel]
    await door.ask("POST", f"api/kernels/{kernel}/interrupt", WORKSPACE)
    await eventually(lambda: door.control.told("ended"))
    assert (await door.ask("GET", f"api/kernels/{kernel}", WORKSPACE))[0] == 404


async def test_a_reservation_waits_for_a_control_plane_that_starts_again(door: Door) -> None:
    await door.control.stop()
    starting = asyncio.create_task(door.ask("POST", "api/kernels", WORKSPACE))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(starting), 0.5)
    await door.control.start(door.folder / "control.sock")
    assert (await starting)[0] == 201


async def test_a_kernel_that_another_engine_runs_is_answered_and_listed_and_not_started_here(door: Door) -> None:
    kernel = {"id": str(uuid4()), "name": "python3", "execution_state": "starting", "connections": 0}
    door.control.elsewhere = kernel | {"metadata": {"studiolo": {"engine": "slurm"}}}
    status, made = await door.ask("POST", "api/kernels", WORKSPACE, body={"env": {"KERNEL_ENGINE": "slurm"}})
    assert (status, made) == (201, door.control.elsewhere)
    status, listed = await door.ask("GET", "api/kernels", WORKSPACE)
    assert (status, listed) == (200, [door.control.elsewhere])
    assert door.host.registry.list() == []
    assert not door.host.registry.is_known(kernel["id"])
    # What joins a notebook to its kernel here asks for one here.
    body = {"path": "a.ipynb", "type": "notebook", "kernel": {"name": "python3"}}
    assert (await door.ask("POST", "api/sessions", WORKSPACE, body=body))[0] == 201
    assert door.control.told("reserve")[-1]["wish"]["only_here"] is True


async def test_whoever_must_wait_for_a_place_is_told_how_long(door: Door) -> None:
    door.control.refusal = {
        "kind": "unavailable",
        "code": "kernel-place-pending",
        "detail": "In the queue: Priority.",
        "retry_after": 5,
    }
    async with door.http.post(f"/w/{WORKSPACE}/api/kernels", headers=door.headers(WORKSPACE), json={}) as reply:
        assert (reply.status, reply.headers["Retry-After"]) == (503, "5")


async def test_a_start_that_fails_unexpectedly_is_not_counted(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(launcher: LocalLauncher, plan: Any) -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(LocalLauncher, "start", fail)
    status, problem = await door.ask("POST", "api/kernels", WORKSPACE)
    assert (status, problem["code"]) == (500, "internal")
    assert "a fault of ours" not in json.dumps(problem)
    await eventually(lambda: door.control.told("started"))
    assert [told["ok"] for told in door.control.told("started")] == [False]
    assert door.host.registry.list() == []
