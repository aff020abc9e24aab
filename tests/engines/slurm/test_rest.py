"""What is asked of Slurm's REST daemon, and what is read from what slurmrestd 22.05 answered."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from studiolo.contract.errors import InvalidInput, Unavailable
from studiolo.engines.plugins import EngineGround
from studiolo.engines.slurm.dialect import Command, JobState, Submission, UnreadableAnswerError
from studiolo.engines.slurm.plugin import PLUGIN
from studiolo.engines.slurm.rest import SlurmREST
from studiolo.engines.slurm.rest_client import RestClient
from studiolo.engines.slurm.settings import BatchOptions, BatchSettings, RestSettings

DIALECT = SlurmREST(holds_limits=True)
LIST = Command(("slurmrestd", "GET", "/slurm/v0.0.38/jobs"))
# As of 1795308263.
PENDING = {
    "job_id": 612,
    "name": "studiolo-1a2b-s-x.1",
    "job_state": "PENDING",
    "state_reason": "Priority",
    "start_time": 1795308563,
    "end_time": 0,
    "batch_host": "",
    "exit_code": 0,
}
RUNNING = PENDING | {
    "job_id": 613,
    "job_state": "RUNNING",
    "state_reason": "None",
    "end_time": 1795308863,
    "batch_host": "n1",
}
FAILED = RUNNING | {"job_id": 604, "job_state": "FAILED", "state_reason": "NonZeroExitCode", "exit_code": 1792}
NODES = [
    {"name": "n1", "cpus": 2, "real_memory": 21695, "gres": "gpu:a100:1", "state": "idle", "partitions": ["a", "b"]},
    {"name": "n2", "cpus": 4, "real_memory": 1000, "gres": "", "state": "allocated", "partitions": ["a"]},
    {"name": "n3", "cpus": 8, "real_memory": 1000, "gres": "", "state": "down", "partitions": ["a"]},
    {"name": "n4", "cpus": 8, "real_memory": 1, "gres": "", "state": "idle", "state_flags": ["DRAIN"]},
]


def submission(**changes: Any) -> Submission:
    known = {"name": "studiolo-x", "script": "#!/bin/sh\n", "program": ("/p",), "home": Path("/h")}
    return Submission(**known | {"folder": Path("/f"), "log": Path("/f/50%.log"), **changes})


def test_a_job_is_asked_for_with_all_that_its_profile_says() -> None:
    options = BatchOptions(partition="gpu", account="lab", qos="high", constraint="a100&ib", reservation="r")
    job = submission(options=options, cpu=3, memory=2**30 + 1, gpu=2, gpu_type="a100", seconds=61)
    command = DIALECT.submit(job)
    asked = json.loads(command.stdin)
    assert command.argv == ("slurmrestd", "POST", "/slurm/v0.0.38/job/submit")
    assert asked["script"] == "#!/bin/sh\n"
    assert {name: asked["job"][name] for name in ("partition", "account", "qos", "constraints", "reservation")} == {
        "partition": "gpu",
        "account": "lab",
        "qos": "high",
        "constraints": "a100&ib",
        "reservation": "r",
    }
    assert (asked["job"]["cpus_per_task"], asked["job"]["memory_per_node"], asked["job"]["gres"]) == (
        3,
        1025,
        "gpu:a100:2",
    )
    assert (asked["job"]["time_limit"], asked["job"]["standard_output"]) == (2, "/f/50%%.log")


def test_a_job_without_limits_asks_for_none() -> None:
    assert not {"memory_per_node", "gres", "time_limit"} & set(json.loads(DIALECT.submit(submission()).stdin)["job"])


def test_jobs_of_ours_are_read_and_others_left_out() -> None:
    others = [{"name": "mine", "job_id": 1}, {}, None, "x"]
    pending, running, failed = DIALECT.read_jobs(json.dumps({"jobs": [*others, PENDING, RUNNING, FAILED]}))
    assert (pending.id, pending.state, pending.host) == ("612", JobState.WAITING, "")
    assert pending.message == "In the queue: others come first (Priority)."
    assert pending.expected_start == datetime.fromtimestamp(1795308563, UTC)
    assert (running.state, running.host, running.ends_at) == (
        JobState.RUNNING,
        "n1",
        datetime.fromtimestamp(1795308863, UTC),
    )
    assert (failed.state, failed.code, failed.signal) == (JobState.ENDED, 7, None)


@pytest.mark.parametrize("output", ["", "[]", "{}", '{"jobs": 1}', "<html>"])
def test_what_is_no_list_of_jobs_is_none(output: str) -> None:
    with pytest.raises(UnreadableAnswerError):
        DIALECT.read_jobs(output)


def test_a_new_job_may_come_with_words_beside_its_id() -> None:
    words = [{"error_code": 2068, "error": "Required node not available (down, drained or reserved)"}]
    assert DIALECT.read_id(json.dumps({"errors": words, "job_id": 614})) == "614"
    with pytest.raises(UnreadableAnswerError):
        DIALECT.read_id(json.dumps({"errors": words, "job_id": 0}))


def test_nodes_that_run_jobs_are_counted_those_of_a_partition_alone() -> None:
    nodes, partition = json.dumps({"nodes": NODES}), json.dumps({"partitions": [{"name": "b", "nodes": "n1"}]})
    whole, chosen = DIALECT.read_machine([nodes]), DIALECT.read_machine([nodes, partition])
    assert (whole.cpu, whole.memory, whole.gpu, whole.cpu_limits) == (6, 22695 * 1024**2, 1, "engine")
    assert (chosen.cpu, chosen.gpu) == (2, 1)
    assert SlurmREST(holds_limits=False).read_machine([nodes]).memory_limits == "none"


# The daemon


@dataclass
class Daemon:
    """Answers `status` and `text` to everything."""

    url: str
    status: int = 200
    text: str = "{}"
    asked: list[web.BaseRequest] = field(default_factory=list)
    hangs: asyncio.Event | None = None

    async def answer(self, request: web.BaseRequest) -> web.Response:
        self.asked.append(request)
        if self.hangs is not None:
            await self.hangs.wait()
        return web.Response(status=self.status, text=self.text)


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[Daemon]:
    made = Daemon(f"unix:{tmp_path}/d.sock")
    runner = web.ServerRunner(web.Server(made.answer), shutdown_timeout=1)
    await runner.setup()
    await web.UnixSite(runner, f"{tmp_path}/d.sock").start()
    yield made
    if made.hangs is not None:
        made.hangs.set()
    await runner.cleanup()


@contextlib.asynccontextmanager
async def asking(seconds: float = 10, **settings: Any) -> AsyncIterator[RestClient]:
    client = RestClient(RestSettings.model_validate(settings), seconds)
    yield client
    await client.aclose()


async def test_a_token_is_shown_as_it_stands_in_its_file_now(daemon: Daemon, tmp_path: Path) -> None:
    token_file = tmp_path / "token"
    async with asking(url=daemon.url, user="jobs", token_file=token_file) as client:
        for token in ("first", "second"):
            token_file.write_text(f"{token}\n")
            await client.ask(LIST)
            shown = daemon.asked[-1].headers
            assert (shown["X-SLURM-USER-NAME"], shown["X-SLURM-USER-TOKEN"]) == ("jobs", token)
        token_file.unlink()
        with pytest.raises(Unavailable, match="token_file"):
            await client.ask(LIST)
    async with asking(url=daemon.url) as client:
        await client.ask(LIST)
        assert "X-SLURM-USER-TOKEN" not in daemon.asked[-1].headers


@pytest.mark.parametrize(
    ("status", "text", "is_refusal"),
    [
        (500, '{"errors": [{"error_code": 2000, "error": "Invalid partition name specified"}]}', True),
        (400, '{"errors": [{"description": "Unknown key \\"colour\\""}, {"error": "Failure during parsing"}]}', True),
        (500, '{"errors": [{"error": "Unable to contact slurm controller (connect failure)"}]}', False),
        (500, '{"errors": [{"error": "Protocol authentication error"}]}', False),
        (401, "Authentication failure", False),
        (404, "Unable find requested URL.", False),
        (502, "<html>", False),
    ],
)
async def test_a_no_to_this_job_is_told_from_a_daemon_that_cannot_be_asked(
    daemon: Daemon, status: int, text: str, is_refusal: bool
) -> None:
    daemon.status, daemon.text = status, text
    async with asking(url=daemon.url) as client:
        answer = await client.run(DIALECT.submit(submission()))
        assert answer.code
        assert DIALECT.is_refusal(answer.error) is is_refusal
        with pytest.raises(Unavailable):
            await client.ask(LIST)


async def test_a_job_that_is_gone_is_known_by_the_daemons_words(daemon: Daemon) -> None:
    said = "unable to kill JobId=999999 with signal 9: Invalid job id specified"
    daemon.status, daemon.text = 500, json.dumps({"errors": [{"description": said, "error_number": 2017}]})
    async with asking(url=daemon.url) as client:
        assert DIALECT.is_gone((await client.run(DIALECT.end("999999"))).error)


async def test_a_daemon_that_is_away_or_hangs_is_unavailable(daemon: Daemon, tmp_path: Path) -> None:
    daemon.hangs = asyncio.Event()
    async with asking(0.2, url=daemon.url) as client:
        with pytest.raises(Unavailable, match="did not answer"):
            await client.ask(LIST)
    async with asking(url=f"unix:{tmp_path}/none.sock") as client:
        with pytest.raises(Unavailable, match="cannot be reached"):
            await client.ask(LIST)


@pytest.mark.parametrize(
    "settings",
    [
        {"rest": {"url": "unix:/s"}, "extra": ["--hold"]},
        {"rest": {"url": "unix:/s"}, "prefix": ["ssh", "login"]},
        {"rest": {"url": "unix:/s"}, "system": "pbs"},
    ],
)
def test_what_only_commands_know_is_refused_beside_the_daemon(tmp_path: Path, settings: dict[str, Any]) -> None:
    ground = EngineGround(data_dir=tmp_path, sockets=tmp_path, instance="i", address="http://localhost")
    with pytest.raises(InvalidInput, match=r"engines\.slurm\.rest"):
        PLUGIN.build(ground, BatchSettings.model_validate(settings))


@pytest.mark.parametrize("rest", [{"url": "slurm:6820"}, {"url": "unix:/s", "user": "jobs"}, {"url": "http://h/path"}])
def test_a_daemon_that_cannot_be_is_refused(rest: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="rest"):
        BatchSettings.model_validate({"rest": rest})
