"""What Slurm's commands print, read; those lines are of Slurm 22.05 itself."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studiolo.engines.slurm.dialect import Job, JobState, JobUse, Submission, UnreadableAnswerError
from studiolo.engines.slurm.settings import BatchOptions
from studiolo.engines.slurm.slurm import SEPARATOR, Slurm
from studiolo.engines.slurm.words import say_reason

SLURM = Slurm()
NAME = "studiolo-0a1b2c3d-s-01.1"


def row(state: str, reason: str = "None", *, start: str = "N/A", end: str = "N/A", host: str = "n/a") -> Job:
    (job,) = SLURM.read_jobs(SEPARATOR.join(("17", NAME, state, reason, start, end, host)) + "\n")
    return job


def test_a_running_job_tells_its_node_and_when_its_time_is_up() -> None:
    job = row("RUNNING", start="1795294892", end="1795295012", host="n1")
    assert (job.id, job.name, job.state, job.host) == ("17", NAME, JobState.RUNNING, "n1")
    assert job.ends_at == datetime.fromtimestamp(1795295012, UTC)
    assert job.expected_start is None


def test_a_waiting_job_tells_why_and_when_it_is_expected_to_start() -> None:
    job = row("PENDING", "Resources", start="1795298493")
    assert job.state is JobState.WAITING
    assert job.message == "In the queue: all suitable nodes are in use (Resources)."
    assert job.expected_start == datetime.fromtimestamp(1795298493, UTC)
    assert row("PENDING", "Priority").expected_start is None


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("QOSMaxCpuPerUserLimit", "its quality of service uses all of the processors that it may"),
        ("AssocGrpGRES", "its account uses all of the GPUs that it may"),
        ("AssocMaxJobsLimit", "its account uses all of the jobs that it may"),
        ("ReqNodeNotAvail, UnavailableNodes:n[1-4]", "a node that it needs is down, drained or reserved"),
        ("(null)", "the scheduler has not looked at it yet"),
        ("SomethingNew", "SomethingNew"),
    ],
)
def test_a_reason_is_said_in_words(reason: str, words: str) -> None:
    assert say_reason(reason).startswith(words)


@pytest.mark.parametrize("reason", ["BadConstraints", "PartitionTimeLimit", "AccountNotAllowed", "InvalidQOS"])
def test_what_waiting_does_not_mend_is_hopeless(reason: str) -> None:
    assert row("PENDING", reason).is_hopeless


@pytest.mark.parametrize(
    ("state", "why"),
    [
        ("COMPLETED", ""),
        ("FAILED", ""),
        ("TIMEOUT", "time-limit"),
        ("OUT_OF_MEMORY", "out-of-memory"),
        ("CANCELLED", "cancelled"),
        ("CANCELLED by 1000", "cancelled"),
        ("CANCELLED+", "cancelled"),
        ("PREEMPTED", "evicted"),
        ("NODE_FAIL", "vanished"),
        ("BOOT_FAIL", "vanished"),
    ],
)
def test_each_end_has_its_reason_and_a_sentence(state: str, why: str) -> None:
    job = row(state, "NonZeroExitCode", end="1795294894")
    assert (job.state, job.reason) == (JobState.ENDED, why)
    assert job.message.endswith(".")
    assert job.ended_at == datetime.fromtimestamp(1795294894, UTC)


def test_records_tell_of_a_job_that_the_queue_forgot() -> None:
    job = SLURM.read_account(f"17|{NAME}|CANCELLED by 0|0:15|1795294894|None\n")
    assert job is not None
    assert (job.id, job.name, job.reason, job.code, job.signal) == ("17", NAME, "cancelled", 0, 15)
    failed = SLURM.read_account(f"2|{NAME}|FAILED|3:0|1795298645|None\n")
    assert failed is not None
    assert (failed.message, failed.code, failed.signal) == ("The job failed.", 3, None)
    assert SLURM.read_account("") is None


@settings(deadline=None)
@given(st.text())
def test_no_listing_breaks_the_reader(output: str) -> None:
    assert all(job.id is not None for job in SLURM.read_jobs(output))
    SLURM.read_account(output)
    SLURM.read_machine((output, output))


@settings(deadline=None)
@given(
    st.lists(
        st.text(st.characters(exclude_characters="\n\r\v\f\x1c\x1d\x1e\x1f\x85\u2028\u2029")), min_size=7, max_size=7
    )
)
def test_any_fields_make_a_job(fields: list[str]) -> None:
    (job,) = SLURM.read_jobs(SEPARATOR.join(fields))
    assert (job.id, job.name) == (fields[0], fields[1])


def test_an_id_is_read_with_and_without_a_cluster() -> None:
    assert SLURM.read_id("17\n") == "17"
    assert SLURM.read_id("17;cluster\n") == "17"
    with pytest.raises(UnreadableAnswerError):
        SLURM.read_id("Submitted batch job 17")


@pytest.mark.parametrize(
    ("error", "is_refused"),
    [
        (
            "sbatch: error: invalid partition specified: nopart\nsbatch: error: Batch job submission failed: Invalid",
            True,
        ),
        ("sbatch: error: Memory specification can not be satisfied", True),
        ("sbatch: error: QOSMaxSubmitJobPerUserLimit\nsbatch: error: Batch job submission failed: Job violates", True),
        ("sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)", False),
        ("sbatch: error: Batch job submission failed: Socket timed out on send/recv operation", False),
        ("sbatch: error: If munged is up, restart with --num-threads=10", False),
        ("ssh: connect to host login port 22: Connection refused", False),
    ],
)
def test_a_refusal_is_told_from_a_controller_that_is_away(error: str, is_refused: bool) -> None:
    assert SLURM.is_refusal(error) is is_refused


def test_a_machine_is_the_sum_of_nodes_that_are_up_each_counted_once() -> None:
    nodes = (
        "n1|4|21695|gpu:a100:2(S:0-1)|idle|\nn1|4|21695|gpu:a100:2(S:0-1)|idle|\n"
        "n2|2|1000|gpu:1,craynetwork:4|mixed|\nn3|64|9|(null)|down*|\nn4|64|9|(null)|drained|\n"
    )
    config = (
        "TaskPlugin              = task/affinity,task/cgroup\nJobAcctGatherParams     = (null)\n"
        "Cgroup Support Configuration:\nConstrainCores          = yes\nConstrainRAMSpace       = yes\n"
    )
    machine = SLURM.read_machine((nodes, config))
    assert (machine.cpu, machine.memory, machine.gpu) == (6.0, 22695 * 1024**2, 3)
    assert (machine.cpu_limits, machine.memory_limits, machine.process_limits) == ("engine", "engine", "none")
    assert SLURM.read_machine((nodes, "TaskPlugin = task/none\n")).memory_limits == "none"


def test_a_submission_asks_for_all_that_its_launch_may_use() -> None:
    options = BatchOptions(partition="gpu", account="lab", qos="high", constraint="a100&ib", reservation="class")
    job = Submission(
        name=NAME,
        script="#!/bin/sh\n",
        program=("/bin/true",),
        home=Path("/home/ana"),
        folder=Path("/data/50 %"),
        log=Path("/data/50 %/job.log"),
        options=options,
        cpu=4,
        memory=1025,
        gpu=2,
        gpu_type="a100",
        seconds=3690,
        extra=("--nice=100",),
    )
    words = SLURM.submit(job).argv
    wanted = {
        *("--partition=gpu", "--account=lab", "--qos=high", "--constraint=a100&ib", "--reservation=class"),
        *("--cpus-per-task=4", "--mem=2K", "--gres=gpu:a100:2", "--time=61:30", "--chdir=/data/50 %"),
        *("--output=/data/50 %%/job.log", "--nice=100", "--no-requeue", f"--job-name={NAME}"),
    }
    assert wanted <= set(words)


def test_the_use_of_running_jobs_is_asked_for_at_once_and_read() -> None:
    command = Slurm().measure(["606", "607"])
    assert command
    assert command.argv[-1] == "--jobs=606.batch,607.batch"
    printed = "606.batch|00:00:02|3004K|1048576\n607.batch|1-02:03:04.5|1.5G|\n608.batch|x|y|z\nno such row\n"
    assert Slurm().read_uses(printed) == {
        "606": JobUse(2.0, 3004 * 1024, 1048576),
        "607": JobUse(93784.5, 3 * 2**29, None),
        "608": JobUse(None, None, None),
    }
