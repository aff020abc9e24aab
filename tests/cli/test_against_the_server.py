"""The command line and the launcher against the real control plane, over a socket."""

import contextlib
import csv
import io
import os
import pty
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from cli.control_plane import ControlPlane, control_plane
from cli.samples import Run
from notebooks import NotebookLauncher, WorkspaceManager
from studiolo.contract.errors import Conflict, NotFound
from studiolo.sdk import AsyncStudiolo, Studiolo
from studiolo.sdk.credentials import store


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    with control_plane(tmp_path_factory.mktemp("p")) as running:
        yield running


@pytest.fixture
def server(shared: ControlPlane, home: Path) -> ControlPlane:
    """A control plane that the saved credentials name, as after `studiolo up`."""
    store(shared.url, shared.key, shared.person)
    return shared


@pytest.mark.req("S0-02", "S0-06", "S0-11", "S0-12")
def test_a_workspace_is_created_listed_shown_and_deleted(cli: Run, server: ControlPlane) -> None:
    made = cli("create", "my-workspace", program="ml jupyter")
    assert made.out.startswith("Created my-workspace (w-")
    assert "my-workspace" in cli("list").out
    info = cli("info", "my-workspace")
    assert "Environment:" in info.out
    assert "read everyone's files" in info.err
    assert cli("delete", "my-workspace", "--yes").code == 0
    assert cli("info", "my-workspace").code == 5


@pytest.mark.req("S0-53", "S0-54", "S0-55", "S0-88")
def test_a_scan_tells_what_the_default_policy_blocks_and_how_bad_it_is(cli: Run, server: ControlPlane) -> None:
    workspace = cli("create", "workspace-name", "--json").data
    notebook = Path(workspace["path"], "study.py")
    notebook.write_text("import socket\nimport subprocess\nimport os\n\nos.system('id')\n")
    ran = cli("security-scan", "workspace-name", program="ml jupyter")
    assert ran.code == 13, ran.err
    verdict, isolation = ran.out.splitlines()[:2]
    assert "/workspace-name: 4 findings: 3 high, 1 medium." in verdict
    assert isolation.startswith("Isolation L0. Sessions are not isolated")
    for what in ("import socket", "import subprocess", "os.system"):
        assert f"What:  {what}\n" in ran.out
    known = Path(workspace["path"]).with_name("baseline.json")
    known.write_text(cli("security-scan", "workspace-name", "--latest", "--json").out)
    assert cli("security-scan", "workspace-name", "--baseline", str(known), "--fail-on", "info").code == 0


@pytest.mark.req("S0-149", "S0-150", "S0-151", "S0-152")
def test_a_service_is_started_for_a_folder_listed_and_stopped(cli: Run, server: ControlPlane, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    started = cli("start", "--name", "my-notebook", "--workspace", str(folder), program="ml jupyter")
    assert started.code == 0, started.err
    identity = started.out.splitlines()[1].split()[1]
    again = cli("start", "--name", "my-notebook", "--workspace", str(folder), "--json")
    assert again.data["id"] == identity
    assert "my-notebook" in cli("list", program="ml jupyter").out
    assert cli("list", "--services", "--json").data[0]["state"] == "running"
    assert cli("stop", identity, program="ml jupyter").out.startswith("Stopped project/my-notebook")
    assert cli("list", "--services", "--json").data == []
    locked = cli("start", "--name", "locked", "--workspace", str(folder), "--password", "mypass", "--json")
    assert locked.data["has_password"] is True
    assert cli("stop", "locked").code == 0


@pytest.mark.req("S3-01", "S3-08", "S3-10")
def test_several_sessions_run_and_a_workspaces_name_does_not_pick_one(cli: Run, server: ControlPlane) -> None:
    cli("create", "several")
    for name in ("one", "two"):
        assert cli("start", "several", "--name", name).code == 0
    assert {session["name"] for session in cli("sessions", "several", "--json").data} == {"one", "two"}
    ambiguous = cli("stop", "several", "--json")
    assert (ambiguous.code, ambiguous.data["code"]) == (6, "session-ambiguous")
    assert cli("stop", "several/one").code == 0
    assert cli("stop", "several").code == 0
    assert "○ stopped" in cli("sessions", "several").out


@pytest.mark.req("S0-122", "S0-123")
def test_status_and_restart_take_a_workspace(cli: Run, server: ControlPlane) -> None:
    cli("create", "alive")
    cli("start", "alive")
    assert "● running" in cli("status", "alive", program="ml jupyter").out
    assert cli("restart", "alive", program="ml jupyter").code == 0
    assert cli("status", "lab-1", "--json").data["launch"] == 2
    assert "of your sessions" in cli("status").out
    assert cli("logs", "alive").out.startswith("started s-")
    assert cli("restart", "alive", "--memory", "1g", "--json").data["resources"]["memory"] == 1024**3
    cli("stop", "alive", "--note", "Back at noon")
    assert "Back at noon" in cli("status", "lab-1", "--json").data["reason"]["message"]
    assert cli("start", "alive/lab-1", "--cpu", "1", "--json").data["resources"]["cpu"] == 1
    cli("stop", "alive")


def test_open_resumes_the_same_session(cli: Run, server: ControlPlane) -> None:
    cli("create", "study")
    first = cli("open", "study", "--json").data
    cli("stop", "study")
    second = cli("open", "study/notebooks/welcome.ipynb", "--json").data
    assert second["id"] == first["id"]
    assert second["url"] == f"{first['notebook_url']}?next=lab%2Ftree%2Fnotebooks%2Fwelcome.ipynb"
    cli("stop", "study")


@pytest.mark.req("S0-27", "S0-28")
def test_access_is_given_and_revoked(cli: Run, server: ControlPlane) -> None:
    link = cli("people", "add", "data-scientist", "--email", "ds@example.com")
    assert link.out.startswith("http://localhost:")
    cli("create", "team")
    given = cli("access", "team", "--user=data-scientist", "--role=editor", program="ml jupyter")
    assert given.out == "data-scientist is editor of team.\n"
    assert "data-scientist" in cli("members", "team").out
    assert cli("revoke", "team", "data-scientist", program="ml jupyter").code == 0
    assert "data-scientist" not in cli("members", "team").out
    assert "member" in cli("audit").out


@pytest.mark.req("S0-86", "S0-87")
def test_what_happened_in_a_workspace_is_shown_and_exported(
    cli: Run, server: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli("create", "audited")
    with Studiolo() as client:
        client.people.create("carol", email="carol@example.com")
        client.workspaces.update("audited", description="=1+1")
    cli("access", "audited", "--user=carol", "--role=viewer")
    shown = cli("audit", "audited", program="ml jupyter")
    assert shown.code == 0, shown.err
    for action in ("workspace.create", "workspace.update", "member.set"):
        assert action in shown.out
    assert len(cli("audit", "audited", "--limit", "1", "--json").data) == 1
    exported = cli("audit", "audited", "--export=csv", program="ml jupyter")
    rows = list(csv.DictReader(io.StringIO(exported.out)))
    assert list(rows[0]) == ["at", "actor", "via", "action", "target", "workspace_id", "detail"]
    assert [row["action"] for row in rows][-1] == "workspace.create"
    assert {row["actor"] for row in rows} == {server.person}
    assert len({row["workspace_id"] for row in rows}) == 1
    # Of the whole platform, administrators alone.
    assert len(list(csv.DictReader(io.StringIO(cli("audit", "--export", "csv").out)))) > len(rows)
    address = f"{server.url}/api/v1/jupyter/workspaces/audited/activity.csv"
    there = httpx.get(address, headers={"Authorization": f"Bearer {server.key}"})
    assert there.headers["content-type"] == "text/csv; charset=utf-8"
    assert there.text.splitlines() == exported.out.splitlines()


@pytest.mark.req("S3-21")
def test_a_key_made_here_signs_in_elsewhere_and_can_be_revoked(
    cli: Run, server: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = cli("keys", "create", "--name", "ci", "--quiet").out.strip()
    monkeypatch.setenv("STUDIOLO_URL", server.url)
    monkeypatch.setenv("STUDIOLO_KEY", key)
    assert cli("whoami", "--json").data["name"] == server.person
    assert cli("keys", "revoke", "ci").code == 0
    assert cli("whoami", "--json").data["code"] == "key-invalid"


def test_a_session_that_never_becomes_ready_can_be_left_and_stopped(cli: Run, server: ControlPlane) -> None:
    cli("create", "slow")
    server.engine.behaviour.becomes_ready = False
    try:
        assert cli("start", "slow", "--no-wait", "--json").data["state"] == "starting"
    finally:
        server.engine.behaviour.becomes_ready = True
    assert cli("stop", "slow").code == 0


@pytest.mark.req("S2-41", "S2-42")
def test_the_launcher_runs_as_a_module(server: ControlPlane) -> None:
    with Studiolo() as client:
        client.workspaces.create("my-team-workspace")
    command = [sys.executable, "-m", "notebooks.cli", "launch", "--user", server.person]
    for more in ([], ["--workspace", "my-team-workspace"]):
        done = subprocess.run([*command, *more], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        assert "/go/s-" in done.stdout


@pytest.mark.req(
    "S2-03",
    "S2-32",
    "S2-53",
    "S2-55",
    "S2-60",
    "S2-61",
    "S2-65",
    "S2-66",
    "S2-67",
    "S2-68",
    "S2-69",
    "S2-70",
    "S2-71",
    "S2-72",
    "S2-73",
)
def test_the_launcher_does_what_the_documents_show(server: ControlPlane) -> None:
    with Studiolo() as client:
        for name in ("alice", "bob"):
            client.people.create(name, email=f"{name}@example.com")
    manager = WorkspaceManager()
    workspace = manager.create_workspace(
        name="ml-research-team", description="Shared workspace for ML research", owner=server.person
    )
    manager.add_member(workspace_id=workspace.workspace_id, user_email="alice@example.com", role="editor")
    manager.add_member(workspace_id=workspace.workspace_id, user_email="bob@example.com", role="viewer")
    session = NotebookLauncher().launch(user_email=server.person, workspace="ml-research-team")
    assert session.status == "running"
    assert session.notebook_url.endswith(f"/go/{session.session_id}")
    manager.share_notebook(
        workspace_id=workspace.workspace_id, notebook_path="/notebooks/model-training.ipynb", shared_by=server.person
    )
    resources = manager.list_shared_resources(workspace.workspace_id)
    assert [f"{r.resource_type}: {r.resource_path}" for r in resources] == ["notebook: notebooks/model-training.ipynb"]
    with Studiolo() as client:
        roles = {member.person.name: member.role for member in client.workspaces.members(workspace.workspace_id)}
    assert (roles["alice"], roles["bob"]) == ("editor", "viewer")


async def test_the_async_client_does_the_same(server: ControlPlane) -> None:
    async with AsyncStudiolo() as client:
        made = await client.workspaces.create("by-async")
        with pytest.raises(Conflict):
            await client.workspaces.create("by-async")
        session = await client.sessions.launch("by-async", name="lab", wait_seconds=10)
        assert (await client.sessions.wait(session.id)).state == "running"
        with pytest.raises(Conflict):
            await client.sessions.delete(session.id)
        await client.sessions.stop(session.id, wait_seconds=10)
        await client.sessions.delete(session.id)
        with pytest.raises(NotFound):
            await client.sessions.get(session.id)
        renamed = await client.workspaces.update(made.id, name="renamed", description="d")
        assert (renamed.name, renamed.description) == ("renamed", "d")
        assert made.id in [workspace.id async for workspace in client.workspaces.list(query="renamed", page_size=1)]
        assert (await client.platform.health()).status == "ok"


@pytest.mark.req("S4-29")
def test_whole_processes_speak_to_the_platform(server: ControlPlane) -> None:
    with Studiolo() as client:
        client.workspaces.create("by-processes")
    folder = Path(sys.executable).parent
    environment = {**os.environ, "LC_ALL": "C"}
    for command in (["ml", "jupyter", "list"], ["jupyter", "studiolo", "list"], ["studiolo", "status", "--json"]):
        done = subprocess.run(
            [folder / command[0], *command[1:]], capture_output=True, text=True, timeout=60, env=environment
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout


def test_ctrl_c_cancels_a_start(cli: Run, server: ControlPlane) -> None:
    cli("create", "patience")
    server.engine.behaviour.becomes_ready = False
    command = [Path(sys.executable).parent / "studiolo", "start", "patience", "--name", "endless"]
    try:
        # Whoever runs the tests in the background has SIGINT ignored, which programs inherit.
        with subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        ) as waiting:
            assert waiting.stdout is not None
            assert waiting.stdout.readline().split() == ["Name:", "endless"]
            assert "/go/s-" in waiting.stdout.readline() + waiting.stdout.readline()
            waiting.send_signal(signal.SIGINT)
            _, said = waiting.communicate(timeout=30)
    finally:
        server.engine.behaviour.becomes_ready = True
    assert waiting.returncode == 130
    assert "Cancelled." in said
    assert "Traceback" not in said
    assert cli("status", "endless", "--json").data["desired"] == "stopped"


def test_login_and_delete_ask_on_a_terminal(cli: Run, server: ControlPlane) -> None:
    cli("create", "doomed")
    program = str(Path(sys.executable).parent / "studiolo")
    refused = on_a_terminal([program, "delete", "doomed"], "n\n")
    assert "Delete admin/doomed with its files?" in refused
    assert "error: Cancelled" in refused
    assert cli("info", "doomed").code == 0
    assert "Deleted" in on_a_terminal([program, "delete", "doomed"], "y\n")
    assert cli("info", "doomed").code == 5
    wrong = on_a_terminal([program, "login", server.url, "--password", "--name", "admin"], "a wrong password\n")
    assert "a wrong password" not in wrong
    assert "error: " in wrong


def on_a_terminal(command: list[str], typed: str) -> str:
    """Run a command on a terminal of its own, type at its question, and return all that it showed."""
    master, terminal = pty.openpty()
    # The first terminal that the leader of a new session opens becomes its own, where passwords are asked.
    lead = "import os, sys; os.close(os.open(os.ttyname(0), os.O_RDWR)); os.execv(sys.argv[1], sys.argv[1:])"
    ends = {"stdin": terminal, "stdout": terminal, "stderr": terminal}
    process = subprocess.Popen([sys.executable, "-c", lead, *command], start_new_session=True, **ends)
    os.close(terminal)
    shown = b""
    # Linux says EIO when the other end is closed.
    with contextlib.suppress(OSError):
        while select.select([master], [], [], 30.0)[0] and (chunk := os.read(master, 4096)):
            shown += chunk
            # Typing before the question would be echoed, or thrown away by what hides a password.
            if typed and shown.endswith(b": "):
                os.write(master, typed.encode())
                typed = ""
    os.close(master)
    process.wait(timeout=30)
    return shown.decode()
