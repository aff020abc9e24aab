"""A launch's files in a shared folder: what a workload is told there, and what is believed of what it tells."""

import json
import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from studiolo.engines.base import Limits, WorkloadSpec
from studiolo.engines.launch_files import (
    Places,
    last_death,
    list_deaths,
    make_request,
    read_address,
    read_exit,
    write_request,
)
from studiolo.engines.logs import tail
from studiolo.runtime.launch import LaunchFiles, LaunchRequest

AT = "2026-11-21T10:00:00+00:00"
EXIT = {"reason": "stopped", "message": "The session was stopped.", "code": 0, "signal": None, "at": AT}
DEATH = {"at": AT, "what": "kernel", "pid": 7, "name": "a.ipynb", "peak": 100, "limit": 90}


@pytest.fixture
def files(tmp_path: Path) -> LaunchFiles:
    """The files of a launch that has said nothing yet."""
    (tmp_path / "launch").mkdir()
    return LaunchFiles(tmp_path / "launch")


def _request(files: LaunchFiles) -> LaunchRequest:
    limits = Limits(cpu=1.5, memory=1 << 30, processes=99)
    spec = WorkloadSpec("s-1", 2, Path("/workspace"), Path("/env"), "/s/s-1/", secret="hidden", limits=limits)
    places = Places(files, Path("/run/x"), Path("/run/x.sock"), Path("/own"), Path("/tools"))
    return make_request(
        spec,
        places,
        grace=timedelta(seconds=9),
        machine={"HOME": "/home/ana", "AWS_SECRET_ACCESS_KEY": "aws"},
        listen="tcp://0.0.0.0:0",
        log_to_stdout=True,
    )


def test_a_written_request_is_read_back_and_is_private(files: LaunchFiles) -> None:
    request = _request(files)
    write_request(files, request)
    assert LaunchRequest.from_line(files.request.read_bytes()) == request
    assert stat.S_IMODE(files.request.stat().st_mode) == 0o600


def test_a_request_says_what_the_spec_says_as_the_workload_sees_it(files: LaunchFiles) -> None:
    request = _request(files)
    assert (request.folder, request.environment, request.run_folder) == ("/workspace", "/env", "/run/x")
    assert (request.cpu_limit, request.memory_limit, request.process_limit) == (1.5, 1 << 30, 99)
    assert (request.grace_seconds, request.listen, request.log_to_stdout) == (9, "tcp://0.0.0.0:0", True)
    assert request.variables["PATH"].startswith("/env/bin:")
    assert request.variables["HOME"] == "/home/ana"
    assert request.variables["IPYTHONDIR"] == "/own/ipython"
    assert "AWS_SECRET_ACCESS_KEY" not in request.variables


def test_a_launch_that_has_said_nothing_is_neither_ready_nor_ended(files: LaunchFiles) -> None:
    assert read_address(files) is None
    assert read_exit(files) is None
    assert list_deaths(files) == []
    assert last_death(files) == 0


def test_what_a_launch_says_is_read(files: LaunchFiles) -> None:
    files.ready.write_text('{"address": "node7:40123"}')
    files.exit.write_text(json.dumps(EXIT | {"max_rss_bytes": 5, "memory_peak": 4096, "memory_limit": None}))
    files.deaths.write_text(json.dumps({"deaths": [DEATH]}))
    assert read_address(files) == "node7:40123"
    ended = read_exit(files)
    assert ended is not None
    assert (ended.reason, ended.code, ended.memory_peak) == ("stopped", 0, 4096)
    assert ended.at == datetime(2026, 11, 21, 10, tzinfo=UTC)
    assert [(death.what, death.pid, death.limit) for death in list_deaths(files)] == [("kernel", 7, 90)]
    assert last_death(files) > 0


@pytest.mark.parametrize("nonsense", ['{"reason": 3}', json.dumps(EXIT | {"at": "yesterday"})])
def test_an_end_that_makes_no_sense_is_an_end_all_the_same(files: LaunchFiles, nonsense: str) -> None:
    files.exit.write_text(nonsense)
    ended = read_exit(files)
    assert ended is not None
    assert ended.reason == "vanished"


@pytest.mark.parametrize("nonsense", ["", "[" * 200_000, '["ready"]', '{"address": 3}', '{"deaths": [{"at": 1}]}'])
def test_other_nonsense_says_nothing(files: LaunchFiles, nonsense: str) -> None:
    files.ready.write_text(nonsense)
    files.deaths.write_text(nonsense)
    assert read_address(files) is None
    assert list_deaths(files) == []


def test_a_message_is_no_longer_than_a_person_reads(files: LaunchFiles) -> None:
    files.exit.write_text(json.dumps(EXIT | {"message": "x" * 100_000}))
    ended = read_exit(files)
    assert ended is not None
    assert len(ended.message) == 1000


def test_names_in_the_folder_lead_nowhere_else(files: LaunchFiles, tmp_path: Path) -> None:
    secret = tmp_path / "of-the-platform"
    secret.write_text(json.dumps(EXIT | {"address": "secret"}))
    for file in (files.ready, files.exit, files.log):
        file.symlink_to(secret)
    os.mkfifo(files.deaths)
    assert read_address(files) is None
    assert read_exit(files) is None
    assert list_deaths(files) == []
    assert tail(files.log, 10) == []
