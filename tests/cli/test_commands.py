import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from cli.samples import DEATH, DEVICE, HEALTH, KEY, MOMENT, NOTICE, SESSION, WORKSPACE, Run, page
from studiolo.cli.output import ago
from studiolo.sdk.credentials import find_credentials, saved_addresses, store
from studiolo.testing.stand_in import Answer, StandIn

STARTING = {**SESSION, "state": "starting", "ready_at": None}


def test_both_spellings_of_an_option_mean_the_same(cli: Run, platform: StandIn) -> None:
    for args in (["--user=leo", "--role=viewer"], ["--user", "leo", "--role", "viewer"]):
        assert cli("access", "churn", *args).code == 0
        assert platform.last("PUT").body == {"person": "leo", "role": "viewer"}


def test_shared_options_may_stand_before_the_command(cli: Run, platform: StandIn) -> None:
    assert cli("--json", "whoami").data["name"] == "ana"


def test_list_shows_sessions_beside_their_workspace(cli: Run, platform: StandIn) -> None:
    lines = cli("list").out.splitlines()
    assert lines[0].split() == ["NAME", "ROLE", "SESSIONS", "PEOPLE", "CHANGED", "DESCRIPTION"]
    assert lines[1].split()[:3] == ["churn", "owner", "lab-1"]
    assert cli("list", "--json").data[0]["sessions"][0]["id"] == SESSION["id"]


def test_list_can_be_of_sessions_or_workspaces_alone(cli: Run, platform: StandIn) -> None:
    assert cli("list", "--services", "--json").data[0]["id"] == SESSION["id"]
    assert "SESSIONS" not in cli("list", "--workspaces").out


def test_an_empty_list_says_how_to_begin_on_stderr(cli: Run, platform: StandIn) -> None:
    platform.answer("GET", "/jupyter/workspaces", page())
    ran = cli("list", program="ml jupyter")
    assert ran.out == ""
    assert "ml jupyter create NAME" in ran.err
    assert cli("list", "--json").data == []


def test_times_are_iso_in_json(cli: Run, platform: StandIn) -> None:
    assert cli("info", "churn", "--json").data["created_at"] == "2026-11-21T04:00:00Z"


# Times to come are rounded.
SOON = [(-5390, "in 90 min"), (-7 * 86400 + 1, "in 7 d"), (-61, "in 1 min"), (-59, "in a moment")]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "just now"),
        (59, "just now"),
        (200, "3 min ago"),
        (7300, "2 h ago"),
        (90000, "1 d ago"),
        (-7300, "in 2 h"),
        *SOON,
    ],
)
def test_times_are_relative_for_people(seconds: int, words: str) -> None:
    now = datetime(2026, 11, 21, tzinfo=UTC)
    assert ago(now - timedelta(seconds=seconds), now=now) == words


def test_start_prints_name_id_and_url_and_the_notice_once(cli: Run, platform: StandIn) -> None:
    ran = cli("start", "--name", "lab-1", "--workspace", "churn", "--password", "mypass")
    assert [line.split()[1] for line in ran.out.splitlines()] == ["lab-1", SESSION["id"], SESSION["notebook_url"]]
    assert ran.err.count(NOTICE) == 1
    assert platform.last("POST").body == {"workspace": "churn", "name": "lab-1", "password": "mypass"}


def test_start_makes_a_folder_absolute(
    cli: Run, platform: StandIn, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home)
    cli("start", "--workspace", "./work")
    assert platform.last("POST").body == {"workspace": str(home.resolve() / "work")}


def test_start_waits_and_shows_steps_when_it_takes_long(
    cli: Run, platform: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("studiolo.cli.waiting._PATIENCE_SECONDS", 0.0)
    slow = {**STARTING, "steps": [{"name": "Environment", "state": "active", "seconds": None}]}
    platform.answer("POST", "/jupyter/sessions", STARTING)
    platform.answer("GET", f"/jupyter/sessions/{SESSION['id']}", slow)
    platform.answer("GET", f"/jupyter/sessions/{SESSION['id']}/progress", events(slow, slow, SESSION))
    ran = cli("start", "churn")
    assert ran.code == 0
    assert ran.err.count("Environment: …") == 1
    assert "Ready after" in ran.err


def test_start_says_what_it_waits_for(cli: Run, platform: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studiolo.cli.waiting._PATIENCE_SECONDS", 0.0)
    told = {"message": "In the queue: Priority.", "waiting": True, "at": "2026-11-21T04:00:00Z"}
    queued = {**STARTING, "progress": told}
    platform.answer("POST", "/jupyter/sessions", STARTING)
    platform.answer("GET", f"/jupyter/sessions/{SESSION['id']}", queued)
    platform.answer("GET", f"/jupyter/sessions/{SESSION['id']}/progress", events(queued, queued, SESSION))
    ran = cli("start", "churn")
    assert ran.code == 0
    assert ran.err.count("In the queue: Priority.") == 1


def test_a_start_that_fails_says_why_and_shows_the_way_to_the_log(cli: Run, platform: StandIn) -> None:
    reason = {"code": "start-timeout", "message": "Not ready after 60 s.", "at": "2026-11-21T04:00:00Z"}
    reason |= {"log_tail": ["boom"]}
    failed = {**SESSION, "state": "failed", "desired": "stopped", "reason": reason}
    platform.answer("POST", "/jupyter/sessions", failed)
    ran = cli("start", "churn")
    assert ran.code == 6
    assert "Not ready after 60 s." in ran.err
    assert f"logs {SESSION['id']}" in ran.err
    platform.answer("POST", "/jupyter/sessions", failed)
    assert cli("start", "churn", "--json").data["log_tail"] == ["boom"]


def test_starting_a_session_that_exists_by_name_starts_that_one(cli: Run, platform: StandIn) -> None:
    platform.refuse("POST", "/jupyter/sessions", "conflict", "session-exists", 409)
    assert cli("start", "churn", "--name", "lab-1").code == 0
    assert platform.last("POST").path == f"/jupyter/sessions/{SESSION['id']}/start"


def test_starting_a_session_that_exists_by_folder_starts_that_one(cli: Run, platform: StandIn) -> None:
    platform.refuse("POST", "/jupyter/sessions", "conflict", "session-exists", 409)
    assert cli("start", "--workspace", "/srv/churn", "--name", "lab-1").code == 0
    assert cli("start", "--workspace", "/srv/other", "--name", "lab-1").code == 6


def test_start_takes_a_stopped_session_too(cli: Run, platform: StandIn) -> None:
    platform.refuse("POST", "/jupyter/sessions", "not-found", "workspace-not-found", 404)
    assert cli("start", "lab-1").code == 0
    assert platform.last("POST").path == "/jupyter/sessions/lab-1/start"
    ran = cli("start", "nothing")
    assert (ran.code, "workspace-not-found" in ran.err) == (5, True)


@pytest.mark.parametrize("args", [[], ["churn", "--workspace", "other"]])
def test_start_needs_exactly_one_workspace(cli: Run, platform: StandIn, args: list[str]) -> None:
    assert cli("start", *args).code == 2
    assert platform.asked == []


def test_open_uses_the_session_that_runs(cli: Run, platform: StandIn) -> None:
    ran = cli("open", "churn")
    assert ran.out.strip() == SESSION["notebook_url"]
    assert "no browser" in ran.err
    assert [asked for asked in platform.asked if asked.method == "POST"] == []


def test_open_starts_the_last_session_again(cli: Run, platform: StandIn) -> None:
    platform.answer("GET", "/jupyter/sessions", page({**SESSION, "state": "stopped", "desired": "stopped"}))
    assert cli("open", "churn", "--no-browser").code == 0
    assert platform.last("POST").path == f"/jupyter/sessions/{SESSION['id']}/start"


def test_open_launches_where_there_was_none(cli: Run, platform: StandIn) -> None:
    platform.answer("GET", "/jupyter/sessions", page())
    assert cli("open", "churn", "--no-browser").code == 0
    assert platform.last("POST").body == {"workspace": WORKSPACE["id"]}


def test_open_lands_on_a_file(cli: Run, platform: StandIn) -> None:
    ran = cli("open", "churn/notebooks/50% a?b.ipynb", "--no-browser")
    asked = parse_qs(urlsplit(ran.out.strip()).query)
    assert asked == {"next": ["lab/tree/notebooks/50%25%20a%3Fb.ipynb"]}


def test_open_names_a_file_that_is_not_there_and_starts_nothing(cli: Run, platform: StandIn) -> None:
    platform.refuse("GET", f"/jupyter/workspaces/{WORKSPACE['id']}/files/info", "not-found", "file-not-found", 404)
    ran = cli("open", "churn/train.ipynb", "--no-browser")
    assert (ran.code, "studiolo ls churn" in ran.err) == (5, True), ran
    assert all(asked.method == "GET" for asked in platform.asked)


def test_space_is_not_erased_for_good_unasked(cli: Run, platform: StandIn) -> None:
    ran = cli("free", "trash", "--json")
    assert (ran.code, ran.data["code"]) == (2, "confirmation-needed")


def test_delete_asks_nobody_without_a_terminal(cli: Run, platform: StandIn) -> None:
    ran = cli("delete", "churn")
    assert ran.code == 2
    assert "--yes" in ran.err
    assert [asked for asked in platform.asked if asked.method == "DELETE"] == []


def test_keys_create_quiet_prints_the_bare_key_alone(cli: Run, platform: StandIn) -> None:
    ran = cli("keys", "create", "--name", "ci", "--quiet")
    assert (ran.out, ran.err) == ("stu_secret\n", "")


def test_keys_revoke_refuses_to_guess(cli: Run, platform: StandIn) -> None:
    platform.answer("GET", "/me/keys", [KEY, {**KEY, "id": "k-2"}])
    assert cli("keys", "revoke", "laptop", "--json").data["candidates"] == ["k-1", "k-2"]
    assert cli("keys", "revoke", "absent").code == 5


def test_login_saves_the_key_that_was_piped_in(cli: Run, platform: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STUDIOLO_URL")
    monkeypatch.delenv("STUDIOLO_KEY")
    monkeypatch.setattr("sys.stdin", io.StringIO("stu_piped\n"))
    ran = cli("login", platform.url, "--key-stdin")
    assert ran.code == 0
    found = find_credentials()
    assert (found.url, found.key, found.person) == (platform.url, "stu_piped", "ana")
    assert "stu_piped" not in ran.out + ran.err


def test_login_saves_nothing_when_the_key_is_wrong(
    cli: Run, platform: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform.refuse("GET", "/me", "not-signed-in", "key-invalid", 401)
    monkeypatch.setattr("sys.stdin", io.StringIO("stu_wrong\n"))
    assert cli("login", platform.url, "--key-stdin").code == 3
    assert saved_addresses() == []


def test_login_without_a_terminal_says_how_else(cli: Run, platform: StandIn) -> None:
    ran = cli("login", platform.url, "--password")
    assert (ran.code, "--key-stdin" in ran.err) == (2, True)


def test_login_shows_a_code_and_saves_the_key_that_comes_of_it(
    cli: Run, platform: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STUDIOLO_URL")
    monkeypatch.delenv("STUDIOLO_KEY")
    platform.answer("POST", "/sign-in/device", DEVICE)
    platform.answer("POST", "/sign-in/device/token", {**KEY, "key": "sto_approved"})
    ran = cli("login", platform.url)
    assert ran.code == 0
    assert "WDJB-MJHT" in ran.err
    assert DEVICE["verification_uri_complete"] in ran.err
    assert find_credentials().key == "sto_approved"
    assert "sto_approved" not in ran.out + ran.err


def test_login_by_a_code_that_is_refused_saves_nothing(cli: Run, platform: StandIn) -> None:
    platform.answer("POST", "/sign-in/device", DEVICE)
    platform.refuse("POST", "/sign-in/device/token", "not-found", "device-code-expired", 404)
    assert cli("login", platform.url).code == 5
    assert saved_addresses() == []


def test_login_refuses_plain_http_to_another_machine(cli: Run) -> None:
    ran = cli("login", "http://notebooks.example.com", "--key-stdin", "--json")
    assert (ran.code, ran.data["code"]) == (2, "address-insecure")


def test_logout_revokes_the_saved_key_and_forgets_it(
    cli: Run, platform: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STUDIOLO_URL")
    monkeypatch.delenv("STUDIOLO_KEY")
    store(platform.url, "stu_abcdef", "ana")
    assert cli("logout").code == 0
    assert platform.last("DELETE").path == "/me/keys/k-1"
    assert saved_addresses() == []
    assert cli("logout").code == 3


def test_people_add_prints_the_link_alone_and_the_notice_apart(cli: Run, platform: StandIn) -> None:
    ran = cli("people", "add", "leo", "--email", "leo@example.com", "--admin")
    assert ran.out == "http://localhost:8888/sign-in/abc\n"
    assert NOTICE in ran.err
    assert platform.last("POST").body["is_admin"] is True


@pytest.mark.parametrize(
    ("typed", "near"), [("lst", "list"), ("statsu", "status"), ("keys crate", "keys create"), ("cretae", "create")]
)
def test_an_unknown_command_suggests_near_ones(cli: Run, typed: str, near: str) -> None:
    ran = cli(*typed.split(), program="ml jupyter")
    assert ran.code == 2
    assert f"`ml jupyter {near}`" in ran.err


@pytest.mark.parametrize("args", [["create"], ["create", "a", "b"], ["list", "--nope"], ["logs", "s", "-n", "x"]])
def test_a_wrong_call_is_a_short_error_with_the_way_to_help(cli: Run, args: list[str]) -> None:
    ran = cli(*args)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("error: ")
    assert f"hint: `studiolo {args[0]} --help`" in ran.err


def test_a_fault_of_ours_shows_its_trace_with_verbose_only(
    cli: Run, platform: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("studiolo.cli.auditing.ago", lambda moment: 1 / 0)
    ran = cli("audit")
    assert ran.code == 1
    assert "Traceback" not in ran.err
    assert "ZeroDivisionError" in cli("audit", "--verbose").err


def test_a_command_of_the_server_says_what_to_install(cli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "studiolo.server.commands", None)
    ran = cli("up", "--json")
    assert (ran.code, json.loads(ran.out)["code"]) == (8, "server-not-installed")
    assert "studiolo[server]" in ran.data["hint"]


def test_create_sends_what_options_and_file_say(cli: Run, platform: StandIn, home: Path) -> None:
    (home / "workspace-config.yaml").write_text("profile: medium\n")
    options = ["--cpu=4", "--memory", "8g", "--gpu=1", "--gpu-type=nvidia-tesla-v100", "--disk", "20g"]
    options += ["--image=jupyter/scipy-notebook:latest", "--config", str(home / "workspace-config.yaml")]
    assert cli("create", "churn", *options).code == 0
    sent = platform.last("POST").body
    assert sent["resources"] == {
        "cpu": 4.0,
        "memory": 8 << 30,
        "gpu": 1,
        "gpu_type": "nvidia-tesla-v100",
        "disk": 20 << 30,
        "image": "jupyter/scipy-notebook:latest",
    }
    assert sent["config_file"] == "profile: medium\n"


def test_a_size_that_is_none_is_refused_with_the_rule(cli: Run, platform: StandIn) -> None:
    ran = cli("scale", "churn", "--memory", "lots")
    assert (ran.code, "binary" in ran.err) == (2, True)
    assert platform.asked == []


def test_faults_of_a_configuration_are_told_with_their_lines(cli: Run, platform: StandIn, home: Path) -> None:
    (home / "c.yaml").write_text("resources:\n  cpus: 4\n")
    fault = {"location": "resources.cpus", "line": 2, "column": 3, "message": "There is no key 'cpus'."}
    platform.refuse("POST", "/jupyter/workspaces", "invalid", "config-invalid", 422, errors=[fault])
    ran = cli("create", "churn", "--config", str(home / "c.yaml"))
    assert ran.code == 2
    assert "line 2, column 3: resources.cpus: There is no key 'cpus'." in ran.err


def test_whoever_is_not_signed_in_is_told_which_command_signs_in(cli: Run, platform: StandIn) -> None:
    platform.refuse("GET", "/jupyter/workspaces", "not-signed-in", "not-signed-in", 401)
    ran = cli("list")
    assert (ran.code, "studiolo login URL" in ran.err) == (3, True)


def test_a_file_that_is_not_there_is_named(cli: Run, platform: StandIn) -> None:
    ran = cli("create", "churn", "--config", "/nowhere/c.yaml")
    assert (ran.code, "/nowhere/c.yaml" in ran.err) == (2, True)


def test_an_end_by_memory_is_told_with_peak_limit_and_what_to_do(cli: Run, platform: StandIn) -> None:
    reason = {"code": "out-of-memory", "message": "It ran out of memory.", "at": MOMENT, "log_tail": []}
    reason |= {"memory_peak": 8 << 30, "memory_limit": 8 << 30, "hint": "Take a larger size: scale churn --memory=16g."}
    ended = {**SESSION, "state": "failed", "desired": "stopped", "reason": reason}
    platform.answer("GET", "/jupyter/sessions/lab-1", ended)
    shown = cli("status", "lab-1").out
    assert "It ran out of memory (peak 8 GiB, limit 8 GiB)." in shown
    assert "--memory=16g" in shown
    platform.answer("POST", "/jupyter/sessions", ended)
    failed = cli("start", "churn").err
    assert "limit 8 GiB" in failed
    assert "--memory=16g" in failed


def test_a_kernel_that_ran_out_of_memory_is_told_wherever_sessions_are_shown(cli: Run, platform: StandIn) -> None:
    platform.answer("GET", "/jupyter/sessions", page({**SESSION, "last_death": DEATH}))
    for words in (["status"], ["sessions"], ["status", "churn"]):
        assert "train.ipynb ran out of memory" in cli(*words).err


def test_logs_are_followed_to_the_end(cli: Run, platform: StandIn) -> None:
    body = b"event: line\ndata: one\n\nevent: line\ndata: two\n\nevent: end\ndata: \n\n"
    platform.answer("GET", "/jupyter/sessions/lab-1/log/stream", body, content_type="text/event-stream")
    assert cli("logs", "lab-1", "--follow").out == "one\ntwo\n"


def test_what_is_exported_or_reported_goes_to_the_file(cli: Run, platform: StandIn, home: Path) -> None:
    assert cli("export", "churn", "--format=json", "-o", str(home / "c.json")).out == ""
    assert json.loads((home / "c.json").read_text())["metadata"]["name"] == "churn"
    assert cli("report", "churn", "--format=html", "-o", str(home / "c.html")).code == 0
    assert "Report" in (home / "c.html").read_text()
    assert cli("report", "churn", "-o", "/nowhere/c.html").code == 2


def test_monitor_prints_a_line_for_each_session_and_look(cli: Run, platform: StandIn) -> None:
    ran = cli("monitor", "churn", "--count=2", "--interval=0.5")
    assert ran.out.count("lab-1  ● running  cpu 1.2") == 2
    assert len(cli("monitor", "churn", "--json").data) == 1


def test_scaling_with_restart_restarts_what_runs(cli: Run, platform: StandIn) -> None:
    assert "keep what they have" in cli("scale", "churn", "--cpu", "8").err
    assert cli("scale", "churn", "--profile", "large", "--restart").code == 0
    assert platform.last("POST").path == f"/jupyter/sessions/{SESSION['id']}/restart"


def test_files_are_deleted_by_a_reset_only_when_that_is_confirmed(cli: Run, platform: StandIn) -> None:
    assert cli("reset", "churn", "--hard", "--delete-files", "--json").data["code"] == "confirmation-needed"
    assert cli("reset", "churn", "--hard", "--delete-files", "--yes").code == 0
    assert platform.last("POST").body == {"hard": True, "delete_files": True, "confirm": "churn"}


def test_open_makes_a_workspace_that_is_not_there(cli: Run, platform: StandIn) -> None:
    ran = cli("open", "fresh", "--json")
    assert ran.code == 0
    assert next(asked.body for asked in platform.asked if asked.method == "POST")["name"] == "fresh"
    assert cli("open", "leo/fresh").code == 5


def test_health_that_is_not_well_has_an_exit_code(cli: Run, platform: StandIn) -> None:
    platform.answer("GET", "/admin/health", {**HEALTH, "ok": False, "verdict": "The disk is full."})
    ran = cli("health")
    assert (ran.code, "The disk is full." in ran.out) == (8, True)


def test_help_has_examples_that_are_not_wrapped(cli: Run) -> None:
    shown = cli("create", "--help").out
    assert "  studiolo create churn --cpu=4 --memory=8g --gpu=1\n" in shown
    assert "\b" not in shown


def events(*sessions: object) -> Answer:
    body = "".join(f"event: session\ndata: {json.dumps(session)}\n\n" for session in sessions).encode()
    return Answer(body, content_type="text/event-stream")


def test_profiles_larger_than_the_machine_are_marked(cli: Run, platform: StandIn) -> None:
    large = {"name": "large", "title": "Large", "description": "", "resources": {"cpu": 64}}
    answer = {"profiles": [large], "default": None, "only_profiles": False, "largest": {"cpu": 2}}
    platform.answer("GET", "/profiles", answer)
    assert "Large, more than there is here" in cli("profiles").out
