"""States that a stage does not easily reach, straight from the templates; and what is vendored."""

import hashlib
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from fastapi import Request

from studiolo.contract.errors import Internal
from studiolo.contract.models import (
    Activity,
    EnvironmentInfo,
    EnvironmentState,
    Me,
    PersonRef,
    PlatformInfo,
    Reason,
    Session,
    SessionState,
    Step,
    Workspace,
    WorkspaceRef,
)
from studiolo.contract.operations import Role
from studiolo.contract.resources import Enforcement, LimitKind, MemoryDeath, Resources, SessionUsage, UsageSample
from studiolo.kit.clock import ManualClock
from studiolo.server.web.home import list_needs
from studiolo.server.web.launch import choose_session
from studiolo.server.web.presentation import resume_url
from studiolo.server.web.problems import explain
from studiolo.server.web.render import environment
from studiolo.server.web.static_files import FOLDER as STATIC_FILES

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ANA = PersonRef(id="p-ana", name="ana", display_name="Ana Ruiz")
ME = Me(**ANA.model_dump(), email=None, is_admin=False, has_password=True, scopes=None)


def session(state: SessionState, **changes: Any) -> Session:
    made = Session(
        id="s-0000000000000001",
        name="lab-1",
        workspace=WorkspaceRef(id="w-1", name="churn", owner="ana"),
        person=ANA,
        engine="local",
        state=state,
        desired="running",
        launch=1,
        steps=[Step(name="Environment", state="done", seconds=0.2), Step(name="Server", state="waiting")],
        reason=None,
        activity=None,
        has_password=False,
        isolation="L0",
        notebook_url="http://localhost/go/s-0000000000000001",
        api_url="http://localhost/s/s-0000000000000001/",
        created_at=NOW,
        started_at=NOW,
        ready_at=NOW,
        ended_at=None,
    )
    return made.model_copy(update=changes)


def workspace(**changes: Any) -> Workspace:
    made = Workspace(
        id="w-1",
        name="churn",
        owner=ANA,
        description="",
        role=Role.OWNER,
        created_at=NOW,
        modified_at=NOW,
        path="/files",
        environment=EnvironmentInfo(state=EnvironmentState.READY),
        running_sessions=0,
        member_count=1,
    )
    return made.model_copy(update=changes)


def render(name: str, *, single_team: bool = False, **context: Any) -> str:
    platform = PlatformInfo(
        version="1",
        address="",
        instance="0",
        isolation="L2",
        isolation_notice=None,
        package_policy="",
        single_team=single_team,
    )
    common = {
        "me": ME,
        "platform": platform,
        "csrf_token": "token",
        "request_path": "/",
        "said": None,
        "undo": None,
        "banner": None,
        "problem": None,
        "canonical": None,
        "news": 0,
        "requests_waiting": 0,
        "isolation_notice": None,
    }
    return environment(ManualClock(NOW + timedelta(hours=1))).get_template(name).render(common | context)


def render_session(shown: Session, **context: Any) -> str:
    common = {
        "session": shown,
        "entering": False,
        "inside": "",
        "go_url": "/go/x",
        "here": "/sessions/x",
        "heading": "JupyterLab",
        "step_since": NOW,
        "log": [],
        "tail": [],
        "details": "",
        "usage": None,
        "memory_chart": None,
        "cpu_chart": None,
        "more_memory": None,
    }
    return render("session.html", **common | context)


def test_an_engine_without_answer_ends_nothing() -> None:
    page = render_session(session(SessionState.UNKNOWN))
    assert "No answer" in page
    assert "has not been stopped" in page


@pytest.mark.parametrize(
    ("engine", "memory", "is_said"),
    [("local", "cgroup-v1", True), ("local", "rlimit", False), ("pods", "engine", False)],
)
def test_a_page_says_what_memory_counts_where_servers_are_made_beforehand(
    engine: str, memory: LimitKind, is_said: bool
) -> None:
    now = UsageSample(at=NOW, cpu=0.1, memory=10 << 20)
    usage = SessionUsage(now=now, limits=Resources(), enforcement=Enforcement(memory=memory), history=[])
    page = render_session(session(SessionState.RUNNING, engine=engine), usage=usage)
    assert ("count as the platform" in page) is is_said


def test_who_leaves_a_session_idle_is_warned_and_can_keep_it() -> None:
    # The templates' clock stands an hour after NOW, and people are warned a quarter of an hour before.
    soon = NOW + timedelta(hours=1, minutes=10)
    page = render_session(session(SessionState.RUNNING, idle_stop_at=soon))
    assert "nobody uses it: it stops" in page
    assert "Keep running" in page
    later = render_session(session(SessionState.RUNNING, idle_stop_at=NOW + timedelta(hours=20)))
    assert "Keep running" not in later
    assert "if nobody uses it" in later


def test_an_idle_stop_says_why_once_and_offers_to_resume() -> None:
    reason = Reason(code="idle", message="Stopped after 2 h without activity. Files and output are here.", at=NOW)
    page = render_session(session(SessionState.STOPPED, reason=reason, ended_at=NOW))
    assert "Stopped after 2 h without activity." in page
    assert page.count("are here") == 1
    assert "Resume" in page


def test_a_kernel_out_of_memory_is_told_while_the_session_runs() -> None:
    death = MemoryDeath(at=NOW, what="kernel", name="a.ipynb", peak=2**34, limit=2**34, message="All of it.")
    running = session(SessionState.RUNNING, last_death=death)
    page = render_session(running, more_memory=2**35)
    assert "All of it." in page
    assert "Restart with 32 GiB" in page
    row = render("home.html", **(home([workspace()]) | {"running": [running]}))
    assert "A kernel ran out of memory: 16 of 16 GiB" in row


def test_a_failed_start_says_that_nothing_was_lost() -> None:
    reason = Reason(code="start-timeout", message="Not ready within 60 s.", at=NOW)
    page = render_session(session(SessionState.FAILED, reason=reason, ready_at=None, ended_at=NOW), tail=["last"])
    assert "Not ready within 60 s." in page
    assert "nothing was lost" in page
    assert "start-timeout" in page


def test_what_members_write_is_escaped() -> None:
    page = render("home.html", **home([workspace(description="<script>alert(1)</script>")]))
    assert "<script>alert" not in page


def home(workspaces: list[Workspace]) -> dict[str, Any]:
    needs = list_needs([session(SessionState.FAILED)], workspaces, [])
    return {
        "resume": None,
        "running": [],
        "sparks": {},
        "needs": needs,
        "workspaces": workspaces,
        "text": "",
        "next_url": None,
        "form": {"name": ""},
    }


def test_a_failed_environment_needs_its_person() -> None:
    failed = EnvironmentInfo(state=EnvironmentState.FAILED, message="The disk is full.")
    page = render("home.html", **home([workspace(environment=failed)]))
    assert "Needs you" in page
    assert "The disk is full." in page


def test_a_fault_of_ours_names_its_request_and_what_is_safe() -> None:
    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b"", "request_id": "4f"}
    scope["server"] = ("localhost", 80)
    error = Internal("internal", "Something unexpected went wrong on our side.", hint="The log has it under 4f.")
    page = render("problem.html", **explain(error, Request(scope)))
    assert "Copy details" in page
    assert "request: 4f" in page
    assert "saved files are safe" in page


def test_single_team_mode_is_said_on_every_page() -> None:
    assert "Single-team mode" in render("home.html", single_team=True, **home([]))


def test_open_prefers_what_runs_and_leaves_what_is_ending() -> None:
    stopped = session(SessionState.STOPPED, id="s-stopped", desired="stopped", ended_at=NOW + timedelta(hours=1))
    running = session(SessionState.RUNNING, id="s-running")
    ending = session(SessionState.STOPPING, id="s-ending", desired="stopped")
    assert choose_session([stopped, running, ending]) is running
    assert choose_session([stopped, ending]) is stopped
    assert choose_session([ending]) is None


def test_no_template_holds_script_or_style() -> None:
    for template in (STATIC_FILES.parent / "templates").glob("*.html"):
        text = template.read_text()
        assert not re.search(r"\sstyle=|<style|\son[a-z]+=|javascript:|hx-on|hx-vals=.js", text), template.name
        assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", text)), template.name


@pytest.mark.parametrize("folder", [STATIC_FILES / "vendor", Path(__file__).parent / "vendor"])
def test_vendored_files_are_the_listed_ones(folder: Path) -> None:
    listed = dict(re.findall(r"\| `([^`]+)` \|.*\| `([0-9a-f]{64})` \|", (folder / "README.md").read_text()))
    kept = {
        file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.rglob("*")
        if file.suffix in (".js", ".woff2")
    }
    assert listed == kept


def test_resume_lands_on_the_last_notebook() -> None:
    activity = Activity(
        reported_at=NOW,
        kernels=1,
        busy_kernels=0,
        terminals=0,
        busy_terminals=0,
        connections=0,
        last_active_at=NOW,
        notebook="notebooks/größe a&b.ipynb",
    )
    address = resume_url(session(SessionState.RUNNING, activity=activity))
    inside = parse_qs(urlsplit(address).query)["next"][0]
    assert inside == "lab/tree/notebooks/gr%C3%B6%C3%9Fe%20a%26b.ipynb"
    assert resume_url(session(SessionState.RUNNING)) == "/go/s-0000000000000001"
