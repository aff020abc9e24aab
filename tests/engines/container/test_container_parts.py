"""The parts of the container engine that need no daemon."""

import os
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from studiolo.contract.errors import InvalidInput, Unavailable
from studiolo.engines.base import Exit, Limits
from studiolo.engines.container import owners
from studiolo.engines.container.configuration import GPUS
from studiolo.engines.container.daemon import find_socket
from studiolo.engines.container.endings import explain
from studiolo.engines.container.gpus import Gpus
from studiolo.engines.container.launches import Launch
from studiolo.engines.container.measuring import Facts, read_usage
from studiolo.engines.container.plugin import PLUGIN
from studiolo.engines.container.settings import ContainerSettings
from studiolo.engines.plugins import find_plugin

NOW = datetime(2026, 11, 21, tzinfo=UTC)


@pytest.fixture
def launch(tmp_path: Path, run_dir: Path) -> Launch:
    """A launch with its folders."""
    made = Launch(tmp_path, run_dir, "s-0123456789abcdef", 1)
    made.make_folders()
    return made


def test_the_engine_comes_in_as_a_plugin() -> None:
    assert find_plugin("container") is PLUGIN


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "tcp://10.0.0.1:2375"},
        {"user": "0:0"},
        {"network": "host"},
        {"image": "--privileged"},
        {"gpus": {"a": ["/dev/sda"]}},
        {"unknown": 1},
    ],
)
def test_settings_that_would_open_the_machine_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ContainerSettings(**wrong)


def test_the_servers_socket_is_held_under_a_name_that_the_session_cannot_change(launch: Launch) -> None:
    assert not launch.hold_socket()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(launch.socket))
        server.listen()
        assert launch.hold_socket()
        # Whatever becomes of the name in the session's folder.
        launch.socket.unlink()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(launch.upstream))


@pytest.mark.parametrize("kind", ["link", "file"])
def test_no_other_socket_of_the_machine_passes_for_the_servers(launch: Launch, run_dir: Path, kind: str) -> None:
    with socket.socket(socket.AF_UNIX) as control:
        control.bind(str(run_dir / "control.sock"))
        if kind == "link":
            launch.socket.symlink_to(run_dir / "control.sock")
        else:
            launch.socket.write_text("")
        assert not launch.hold_socket()
        assert not launch.upstream.exists()


def test_a_server_that_listens_anew_is_held_anew(launch: Launch) -> None:
    for _ in range(2):
        launch.socket.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(launch.socket))
            assert launch.hold_socket()
            assert launch.upstream.samefile(launch.socket)


def test_the_first_word_about_an_end_stands(launch: Launch) -> None:
    first = launch.keep_end(Exit("killed", "It was killed.", NOW, signal=9))
    assert launch.keep_end(Exit("stopped", "It was stopped.", NOW)) == first
    assert launch.read_end() == first


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_files_given_away_are_those_of_the_workspace_alone(tmp_path: Path) -> None:
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"
    for folder in (mine / "inner", theirs):
        folder.mkdir(parents=True)
    for file in (mine / "inner" / "own.txt", theirs / "file.txt", theirs / "shared.so"):
        file.write_text("")
    (mine / "link").symlink_to(theirs / "file.txt")
    (mine / "folder").symlink_to(theirs)
    os.link(theirs / "shared.so", mine / "shared.so")
    owners.give(mine, (60100, 60100))
    assert {(mine / "inner").stat().st_uid, (mine / "inner" / "own.txt").stat().st_uid} == {60100}
    assert {path.stat().st_uid for path in (theirs, theirs / "file.txt", theirs / "shared.so")} == {0}


def test_the_shims_word_explains_an_end_and_the_daemon_where_there_is_none() -> None:
    told = Exit("out-of-memory", "It ran out of memory.", NOW)
    known: dict[str, Any] = {"was_stopped": False, "was_ready": True, "memory_limit": None}
    assert explain({"ExitCode": 137}, told, **known) == told
    assert explain({"ExitCode": 137}, None, **known).reason == "killed"
    assert explain({"ExitCode": 137, "OOMKilled": True}, None, **known).reason == "out-of-memory"
    assert explain(None, None, **known).reason == "vanished"
    assert explain({"ExitCode": 1}, None, **known | {"was_ready": False}).reason == "never-ready"
    assert explain({"ExitCode": 0}, None, **known | {"was_stopped": True}).reason == "stopped"


def test_without_root_and_with_the_first_control_groups_no_limit_is_claimed() -> None:
    info = {"NCPU": 4, "MemTotal": 1, "MemoryLimit": True, "PidsLimit": True, "CpuCfsQuota": True, "CgroupVersion": "1"}
    rootless = Facts.read(info | {"SecurityOptions": ["name=rootless"]}, {})
    assert not rootless.holds_limits
    assert rootless.machine(0).memory_limits == "none"
    assert Facts.read(info, {}).machine(0).memory_limits == "cgroup-v1"
    assert Facts.read(info | {"CgroupVersion": "2", "Rootless": True}, {}).machine(0).memory_limits == "cgroup-v2"


def test_use_of_memory_leaves_out_what_can_be_dropped() -> None:
    stats = {"memory_stats": {"usage": 100, "stats": {"inactive_file": 30}}, "pids_stats": {"current": 5}}
    used = read_usage(stats | {"cpu_stats": {"cpu_usage": {"total_usage": 2_500_000_000}}}, ())
    assert (used.memory, used.processes, used.cpu_seconds) == (70, 5, 2.5)


def test_no_gpu_has_two_holders_and_one_that_is_given_back_is_free() -> None:
    gpus = Gpus({"a100": ["n.com/gpu=0", "n.com/gpu=1"], "t4": ["n.com/gpu=2"]})
    running = [{"Labels": {GPUS: "n.com/gpu=0"}}]
    one = Limits(gpu=1, gpu_type="a100")
    assert gpus.lease(one, "first", running) == ["n.com/gpu=1"]
    assert gpus.lease(one, "second", running) is None
    assert gpus.lease(Limits(gpu=1), "second", running) == ["n.com/gpu=2"]
    gpus.free("first")
    assert gpus.lease(one, "third", running) == ["n.com/gpu=1"]
    with pytest.raises(InvalidInput, match="h200"):
        gpus.check(Limits(gpu=1, gpu_type="h200"))


def test_a_daemon_that_is_nowhere_is_said_to_be_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("studiolo.engines.container.daemon._USUAL_SOCKETS", ())
    with pytest.raises(Unavailable) as refused:
        find_socket({"XDG_RUNTIME_DIR": str(tmp_path), "DOCKER_HOST": "tcp://10.0.0.1:2375"})
    assert refused.value.code == "engine-unavailable"
    assert find_socket({"DOCKER_HOST": "unix:///x.sock"}) == "unix:///x.sock"


def test_nothing_of_a_container_lies_where_sessions_of_this_machine_are_believed(launch: Launch) -> None:
    # The kernel host reads `<sockets>/<launch>/kernels.json`, and shortcuts lead into that folder.
    assert not (launch.sockets / launch.name).exists()
    assert launch.run_folder.is_dir()
    assert not launch.run_folder.is_relative_to(launch.sockets / launch.name)
