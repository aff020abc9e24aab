"""Sizes, descriptions, copies and trash from the command line, against the real control plane."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cli.control_plane import ControlPlane, control_plane
from cli.samples import Run
from notebooks import NotebookLauncher
from notebooks.cli import main as launcher
from notebooks.models import NotebookSession, ResourceConfig
from studiolo.contract.errors import Conflict, LimitReached
from studiolo.sdk import Studiolo
from studiolo.sdk.credentials import store

CONFIG = """\
resources:
  cpu: 4
  memory: 8g
  gpu: 1
  disk: 20g
"""
GIB = 1 << 30


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    with control_plane(tmp_path_factory.mktemp("p")) as running:
        # A machine on which the documents' examples fit.
        running.engine.machine = replace(running.engine.machine, cpu=64.0, memory=256 * GIB, gpu=8)
        yield running


@pytest.fixture
def server(shared: ControlPlane, home: Path) -> ControlPlane:
    store(shared.url, shared.key, shared.person)
    return shared


@pytest.mark.req("S0-07", "S0-08", "S0-09")
def test_a_workspace_is_created_with_what_its_sessions_may_use(cli: Run, server: ControlPlane) -> None:
    made = cli("create", "sized", "--cpu=4", "--memory=8g", "--gpu=1", program="ml jupyter")
    assert made.code == 0, made.err
    allowed = cli("limits", "sized", "--json").data["resources"]
    assert (allowed["cpu"], allowed["memory"], allowed["gpu"]) == (4, 8 * GIB, 1)
    started = cli("start", "sized", "--json").data
    assert (started["resources"]["cpu"], started["resources"]["memory"]) == (4, 8 * GIB)
    cli("stop", "sized")


def test_an_image_is_refused_where_none_can_run(cli: Run, server: ControlPlane) -> None:
    refused = cli("create", "imaged", "--image=jupyter/scipy-notebook:latest", "--json")
    assert (refused.code, refused.data["code"]) == (2, "image-not-supported")
    assert cli("info", "imaged").code == 5


@pytest.mark.req("S0-13", "S0-14", "S0-15", "S0-16")
def test_a_workspace_is_created_from_a_file(cli: Run, server: ControlPlane, home: Path) -> None:
    file = home / "workspace-config.yaml"
    file.write_text(CONFIG)
    made = cli("create", "configured", "--config", str(file), program="ml jupyter")
    assert made.code == 0, made.err
    allowed = cli("limits", "configured", "--json").data["resources"]
    assert {name: allowed[name] for name in ("cpu", "memory", "gpu", "disk")} == {
        "cpu": 4,
        "memory": 8 * GIB,
        "gpu": 1,
        "disk": 20 * GIB,
    }


def test_a_broken_file_is_told_with_line_and_key(cli: Run, server: ControlPlane, home: Path) -> None:
    file = home / "workspace-config.yaml"
    file.write_text("resources:\n  cpus: 4\n")
    refused = cli("create", "never", "--config", str(file))
    assert refused.code == 2
    assert "line 2, column 3: resources.cpus" in refused.err
    assert cli("info", "never").code == 5


@pytest.mark.req("S0-125", "S0-126", "S2-05")
def test_limits_are_shown_and_scaled(cli: Run, server: ControlPlane) -> None:
    cli("create", "growing", "--cpu", "1")
    scaled = cli("scale", "growing", "--cpu=8", "--memory=16g", program="ml jupyter")
    assert scaled.code == 0, scaled.err
    assert "8 CPU, 16 GiB memory" in cli("limits", "growing", program="ml jupyter").out
    assert cli("start", "growing", "--json").data["resources"]["memory"] == 16 * GIB
    too_much = cli("scale", "growing", "--cpu=10000", "--json")
    assert too_much.code in (2, 7)
    cli("stop", "growing")


def test_profiles_are_listed_and_one_is_launched(cli: Run, server: ControlPlane) -> None:
    names = [profile["name"] for profile in cli("profiles", "--json").data["profiles"]]
    cli("create", "profiled")
    assert cli("start", "profiled", "--profile", names[0], "--json").data["profile"] == names[0]
    unknown = cli("start", "profiled", "--profile", "colossal")
    assert (unknown.code, names[0] in unknown.err) == (2, True)
    cli("stop", "profiled")


@pytest.mark.req("S0-45", "S0-46")
def test_what_is_known_of_a_workspace_is_shown_and_exported(cli: Run, server: ControlPlane, home: Path) -> None:
    cli("create", "known", "--description", "Who leaves, and why")
    shown = cli("metadata", "known", program="ml jupyter")
    assert "Who leaves, and why" in shown.out
    exported = cli("export", "known", "--format=json", program="ml jupyter")
    assert json.loads(exported.out)["metadata"]["description"] == "Who leaves, and why"
    assert cli("export", "known", "--format=yaml", "-o", str(home / "known.yaml")).code == 0
    assert "studiolo-workspace/1" in (home / "known.yaml").read_text()


@pytest.mark.req("S0-116", "S0-118", "S0-121")
def test_use_is_summed_and_reported_and_caches_are_cleared(cli: Run, server: ControlPlane, home: Path) -> None:
    cli("create", "used")
    assert "Sessions:" in cli("stats", "used", program="ml jupyter").out
    page = cli("report", "used", "--format=html", program="ml jupyter").out
    assert "<html" in page
    assert "used" in page
    assert cli("clear-cache", "used", program="ml jupyter").out.startswith("Freed ")


@pytest.mark.req("S0-124")
def test_an_environment_is_reset(cli: Run, server: ControlPlane) -> None:
    cli("create", "messy")
    assert cli("reset", "messy", "--hard", program="ml jupyter").out.startswith("Reset messy")
    identity = cli("info", "messy", "--json").data["id"]
    files = Path(cli("info", "messy", "--json").data["path"])
    (files / "data.csv").write_text("1,2")
    assert cli("reset", "messy", "--delete-files", "--yes").code == 0
    assert not (files / "data.csv").exists()
    assert cli("info", "messy", "--json").data["id"] == identity


def test_a_former_name_leads_on(cli: Run, server: ControlPlane) -> None:
    cli("create", "before")
    assert cli("rename", "before", "after").code == 0
    assert cli("info", "before", "--json").data["name"] == "after"
    assert cli("limits", "before").code == 0


def test_a_workspace_is_copied_and_handed_over(cli: Run, server: ControlPlane) -> None:
    cli("people", "add", "heir", "--email", "heir@example.com")
    cli("create", "original", "--cpu=2")
    assert cli("duplicate", "original", "copy").out.startswith("Created copy (w-")
    assert cli("limits", "copy", "--json").data["own"]["cpu"] == 2
    cli("access", "copy", "--user=heir", "--role=editor")
    given = cli("transfer", "copy", "heir", "--yes", "--json")
    assert given.code == 0, given.out
    assert given.data["owner"]["name"] == "heir"


def test_what_was_deleted_comes_back_or_is_erased(cli: Run, server: ControlPlane) -> None:
    cli("create", "regretted")
    identity = cli("info", "regretted", "--json").data["id"]
    cli("delete", "regretted", "--yes")
    assert "regretted" in cli("trash").out
    assert cli("trash", "restore", "regretted").code == 0
    assert cli("info", "regretted", "--json").data["id"] == identity
    cli("delete", "regretted", "--yes")
    assert cli("trash", "erase", "regretted").code == 2
    assert cli("trash", "erase", "regretted", "--yes").code == 0
    assert identity not in [trashed["id"] for trashed in cli("trash", "list", "--json").data]


def test_the_platform_is_inspected(cli: Run, server: ControlPlane) -> None:
    assert "local" in cli("engines").out
    told = cli("health", "--json")
    assert told.data["verdict"]
    assert told.code == (0 if told.data["ok"] else 8)


@pytest.mark.req("S3-03")
def test_open_makes_starts_and_resumes(cli: Run, server: ControlPlane) -> None:
    first = cli("open", "fresh", "--json")
    assert first.code == 0, first.out
    assert cli("open", "fresh", "--json").data["id"] == first.data["id"]
    assert cli("snooze", "fresh", "--minutes", "30").code == 0
    cli("stop", "fresh")


@pytest.mark.req("S2-43", "S2-44", "S2-45", "S2-46")
def test_the_launcher_takes_resources_as_a_module(
    server: ControlPlane, cli: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    cli("create", "my-team-workspace")
    options = ["--cpu", "4", "--memory", "16Gi", "--gpu", "1", "--gpu-type", "nvidia-tesla-v100"]
    assert launcher(["launch", "--user", server.person, "--workspace", "my-team-workspace", *options, "--json"]) == 0
    launched = json.loads(capsys.readouterr().out)
    with Studiolo() as client:
        resources = client.sessions.get(launched["session_id"]).resources
        client.sessions.stop(launched["session_id"])
    assert (resources.cpu, resources.memory) == (4, 16 * GIB)
    assert (resources.gpu, resources.gpu_type) == (1, "nvidia-tesla-v100")


@pytest.mark.req("S2-53", "S2-54", "S2-55", "S2-56", "S2-57", "S2-58", "S2-59", "S2-60", "S2-61", "S2-62")
def test_the_launcher_takes_resources_from_python(server: ControlPlane, cli: Run) -> None:
    cli("create", "by-python")
    resources = ResourceConfig(cpu_cores=4, memory_gb=16, gpu_count=1, gpu_type="nvidia-tesla-v100")
    session = NotebookLauncher().launch(user_email=server.person, workspace="by-python", resources=resources)
    assert isinstance(session, NotebookSession)
    with Studiolo() as client:
        seen = client.sessions.get(session.session_id).resources
        client.sessions.stop(session.session_id)
    assert (seen.cpu, seen.memory, seen.gpu, seen.gpu_type) == (4, 16 * GIB, 1, "nvidia-tesla-v100")
    with pytest.raises(LimitReached):
        NotebookLauncher().launch(workspace="by-python", resources=ResourceConfig(memory_gb=100_000))


def test_two_who_change_a_workspace_at_once_are_told_apart(server: ControlPlane) -> None:
    with Studiolo() as client:
        made = client.workspaces.create("contested")
        client.workspaces.update(made.id, description="first", revision=made.revision)
        with pytest.raises(Conflict) as caught:
            client.workspaces.update(made.id, description="second", revision=made.revision)
        assert client.workspaces.get(made.id).description == "first"
    assert caught.value.code == "workspace-changed"


def test_a_session_is_followed_while_it_starts(server: ControlPlane) -> None:
    with Studiolo() as client:
        client.workspaces.create("followed")
        launched = client.sessions.launch("followed")
        seen = list(client.sessions.progress(launched.id))
        client.sessions.stop(launched.id)
    assert seen[-1].state == "running"


def test_a_workspace_goes_out_as_an_archive_and_comes_in_again(cli: Run, server: ControlPlane, home: Path) -> None:
    cli("create", "travelling")
    files = Path(cli("info", "travelling", "--json").data["path"])
    (files / "data.csv").write_text("1,2")
    written = cli("export", "travelling", str(home / "out.zip"))
    assert written.out.startswith(f"Wrote {home / 'out.zip'} (")
    came = cli("import", str(home / "out.zip"), "--name", "arrived", "--json")
    assert came.code == 0, came.out
    assert (Path(came.data["workspace"]["path"]) / "data.csv").read_text() == "1,2"
    assert cli("import", str(home / "out.zip"), "--name", "arrived").code == 6
    assert cli("import", str(home / "missing.zip")).code == 2


@pytest.mark.req("S2-35")
def test_a_dataset_is_registered_listed_and_removed(cli: Run, server: ControlPlane, home: Path) -> None:
    folder = home / "billing"
    folder.mkdir()
    added = cli("datasets", "add", "billing", str(folder), "--everybody", "--description", "Bills")
    assert added.out == f"Registered billing: everybody may read {folder}.\n"
    assert "Bills" in cli("datasets").out
    assert cli("datasets", "change", "billing", "--not-everybody", "--json").data["everybody"] is False
    assert cli("datasets", "add", "other", str(home / "missing"), "--everybody").code == 2
    assert cli("datasets", "remove", "billing", "--yes").code == 0
    assert cli("datasets", "list", "--all", "--json").data == []


def test_a_repository_inside_is_refused_before_a_workspace_is_made(cli: Run, server: ControlPlane) -> None:
    refused = cli("create", "cloned", "--clone", "https://127.0.0.1/team/study.git", "--json")
    assert (refused.code, refused.data["code"]) == (2, "egress-refused")
    assert cli("info", "cloned").code == 5
    cli("create", "cloned")
    assert cli("clone", "cloned", "git@example.com:team/study.git", "--json").data["code"] == "clone-failed"
    assert cli("create", "other", "--branch", "main").code == 2


def test_a_backup_is_asked_for_from_elsewhere(cli: Run, server: ControlPlane) -> None:
    made = cli("backups", "start", "--wait", "--json")
    assert made.code == 0, made.out
    assert made.data["name"] in cli("backups").out
    assert cli("backups", "cancel").code == 5
