"""Other batch systems, on output that real ones printed; the source stands with each.

Names of jobs and nodes are as recorded; what our commands do not ask for is left out.
"""

import contextlib
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studiolo.engines.slurm.dialect import Dialect, Job, JobState, Submission, UnreadableAnswerError
from studiolo.engines.slurm.presets.gridengine import GridEngine
from studiolo.engines.slurm.presets.htcondor import HTCondor
from studiolo.engines.slurm.presets.lsf import LSF
from studiolo.engines.slurm.presets.pbs import PBS
from studiolo.engines.slurm.presets.torque import Moab, Torque
from studiolo.engines.slurm.settings import BatchOptions
from studiolo.engines.slurm.systems import SYSTEMS, dialect_for

# OpenPBS 20.0.1 and 19.0.0, qstat -f -F json; psij's documentation has the job that ended (2022.0.0).
PBS_JOBS = """
{
    "timestamp":1664911414,
    "pbs_version":"19.0.0",
    "pbs_server":"meta-pbs.metacentrum.cz",
    "Jobs":{
        "12860476.meta-pbs.metacentrum.cz":{
            "Job_Name":"swrap_01",
            "Job_Owner":"jan@META",
            "job_state":"R",
            "queue":"charon_2h",
            "server":"meta-pbs.metacentrum.cz",
            "Checkpoint":"u",
            "ctime":"Tue Oct  4 21:23:20 2022",
            "stime":"Tue Oct  4 21:23:30 2022",
            "exec_host":"charon24/0*2+charon21/0*2",
            "Resource_List":{"mem":"4gb","ncpus":4,"walltime":"00:30:00"}
        },
        "1.vbox":{
            "Job_Name":"STDIN",
            "job_state":"Q",
            "comment":"Not Running: Insufficient amount of resource: ncpus"
        },
        "2154.edtb-01.mcp.alcf.anl.gov":{
            "job_state":"F",
            "comment":"Job run at Mon Jan 24 at 08:39 on (edtb-01[0]:ncpus=1) and finished",
            "Exit_status":0
        }
    }
}
"""
# Torque 6, qstat -x: a queue at OSC and one at Stanford.
TORQUE_JOBS = (
    "<Data><Job><Job_Id>665199.superserver.stanford.edu</Job_Id><Job_Name>int_tmux</Job_Name>"
    "<resources_used><cput>00:15:23</cput><walltime>335:34:49</walltime></resources_used><job_state>R</job_state>"
    "<queue>interactive</queue><ctime>1479339279</ctime><exec_host>node01/0+node01/1</exec_host>"
    "<start_time>1479339280</start_time><Resource_List><mem>4gb</mem><walltime>10:00:00</walltime></Resource_List></Job>"
    "<Job><Job_Id>16376372.opt-batch.osc.edu</Job_Id><Job_Name>stage.pbs.sh</Job_Name><job_state>Q</job_state>"
    "<queue>serial</queue><Resource_List><nodes>1:ppn=8</nodes><walltime>10:00:00</walltime></Resource_List></Job>"
    "<Job><Job_Id>17.opt-batch.osc.edu</Job_Id><Job_Name>late</Job_Name><job_state>C</job_state>"
    "<exit_status>271</exit_status><start_time>1386618379</start_time><comp_time>1386621985</comp_time>"
    "<Resource_List><walltime>01:00:00</walltime></Resource_List></Job></Data>\n"
)
# Moab 9, showq --xml, as Nextflow's tests have it.
MOAB_JOBS = """
<Data>
 <Object>queue</Object>
 <cluster LocalActiveNodes="68" LocalAllocProcs="1360" time="1553503935"/>
 <queue count="1" option="active">
  <job AWDuration="1392" Account="bw18k008" Class="single" DRMJID="881196.admin2" GJID="881196" JobID="881196"
   JobName="JOBNAME.deeptools" MasterHost="m13s0703" PAL="torque" ReqAWDuration="10800" ReqProcs="16"
   RsvStartTime="1562924509" StartTime="1562924509" State="Running" SubmissionTime="1562924505" User="ann"/>
 </queue>
 <queue count="1" option="eligible">
  <job JobID="881200" JobName="waits" State="Idle" ReqAWDuration="600" StartTime="0" SubmissionTime="1562924600"/>
 </queue>
</Data>
"""
# LSF 10.1, bjobs -o with the fields that we ask for: values as AiiDA's tests have them.
LSF_JOBS = (
    "764213236|EXIT|130|b681e480bd|Feb  2 00:45|Feb  2 00:46|aiida-1033269|"
    "TERM_RUNLIMIT: job killed after reaching LSF run time limit|-\n"
    "764220165|PEND|-|-|-|-|aiida-1033444|-|Job slot limit reached; or | another one.\n"
    "764254593|RUN|-|lxbsu2710|Feb  2 07:39|Feb  2 07:40 L|test|-|-\n"
    " 764399747|DONE|0|4*p05496706j68144:p0549|Feb  2 14:54|Feb  2 14:56 L|test|-|-\n"
)
# Grid Engine 6.2, qstat -xml, as AiiDA's tests have it.
GRID_ENGINE_JOBS = """<?xml version='1.0'?>
<job_info  xmlns:xsd="http://www.w3.org/2001/XMLSchema">
  <queue_info>
    <job_list state="running">
      <JB_job_number>1212299</JB_job_number>
      <JAT_prio>10.05000</JAT_prio>
      <JB_name>Heusler</JB_name>
      <state>r</state>
      <JAT_start_time>2013-06-18T12:08:23</JAT_start_time>
      <queue_name>serial.q@node080</queue_name>
      <slots>1</slots>
    </job_list>
  </queue_info>
  <job_info>
    <job_list state="pending">
      <JB_job_number>1212322</JB_job_number>
      <JB_name>Heusler</JB_name>
      <state>hqw</state>
      <JB_submission_time>2013-06-18T12:09:47</JB_submission_time>
      <queue_name></queue_name>
      <slots>1</slots>
    </job_list>
    <job_list state="pending">
      <JB_job_number>1212323</JB_job_number>
      <JB_name>Heusler</JB_name>
      <state>Eqw</state>
      <queue_name></queue_name>
    </job_list>
  </job_info>
</job_info>
"""
# qacct(1) and accounting(5) of 8.1.9.
GRID_ENGINE_RECORD = """==============================================================
qname        serial.q
hostname     node080
owner        ann
jobname      Heusler
jobnumber    1212299
start_time   Tue Jun 18 12:08:23 2013
end_time     Tue Jun 18 13:08:23 2013
failed       37  : qmaster enforced h_rt limit
exit_status  137
"""
# HTCondor, condor_q -json: TARDIS's and a manual's attributes.
HTCONDOR_JOBS = """
[
{
  "ClusterId": 5184660,
  "JobBatchName": "waits",
  "JobStatus": 1,
  "ProcId": 0
}
,
{
  "ClusterId": 423,
  "JobBatchName": "runs",
  "JobStatus": 2,
  "ProcId": 0,
  "RemoteHost": "slot1@execute.example"
}
,
{
  "ClusterId": 424,
  "HoldReason": "Error from slot1@execute.example: Job has gone over cgroup memory limit of 128 megabytes.",
  "HoldReasonCode": 34,
  "JobStatus": 5,
  "ProcId": 0
}
,
{
  "ClusterId": 425,
  "HoldReason": "via condor_hold (by user ann)",
  "HoldReasonCode": 1,
  "JobStatus": 5,
  "ProcId": 0
}
,
{
  "ClusterId": 426,
  "JobStatus": 3,
  "ProcId": 0,
  "RemoveReason": "The job attribute PeriodicRemove expression evaluated to TRUE"
}
]
"""

OTHERS: list[Dialect] = [kind() for name, kind in SYSTEMS.items() if name != "slurm"]
SUBMISSION = Submission(
    name="studiolo-0a1b2c3d-s-01.1",
    script="#!/bin/sh\nexec true\n",
    program=("/bin/python", "-m", "x", '/data/it\'s $HOME "a" %J'),
    home=Path("/home/ana"),
    folder=Path("/data/f"),
    log=Path("/data/f/job.log"),
    options=BatchOptions(account="lab"),
    cpu=4,
    memory=2**30,
    gpu=1,
    seconds=3600,
)


def by_id(dialect: Dialect, output: str) -> dict[str, Job]:
    return {job.id.partition(".")[0]: job for job in dialect.read_jobs(output)}


def test_pbs_is_read() -> None:
    jobs = by_id(PBS(), PBS_JOBS)
    running, waiting, ended = jobs["12860476"], jobs["1"], jobs["2154"]
    assert (running.name, running.state, running.host) == ("swrap_01", JobState.RUNNING, "charon24")
    assert running.ends_at == datetime(2022, 10, 4, 21, 53, 30).astimezone()
    assert (waiting.state, waiting.message) == (
        JobState.WAITING,
        "In the queue: Insufficient amount of resource: ncpus.",
    )
    assert (ended.state, ended.code, ended.reason) == (JobState.ENDED, 0, "")


def test_pbs_without_jobs_is_an_empty_list() -> None:
    assert PBS().read_jobs("") == []
    assert PBS().read_jobs('{"timestamp":1788909619, "pbs_version":"2024.1.2", "pbs_server":"gadi-pbs-01"}') == []


@pytest.mark.parametrize(
    ("number", "reason", "signal"), [(-29, "time-limit", None), (-27, "out-of-memory", None), (271, "", 15)]
)
def test_the_numbers_of_pbs_are_ends(number: int, reason: str, signal: int | None) -> None:
    (job,) = PBS().read_jobs(f'{{"Jobs":{{"1.s":{{"job_state":"F","Exit_status":{number}}}}}}}')
    assert (job.reason, job.signal) == (reason, signal)


def test_torque_is_read() -> None:
    jobs = by_id(Torque(), TORQUE_JOBS)
    running, waiting, ended = jobs["665199"], jobs["16376372"], jobs["17"]
    assert (running.name, running.state, running.host) == ("int_tmux", JobState.RUNNING, "node01")
    assert running.ends_at == datetime.fromtimestamp(1479339280, UTC) + timedelta(hours=10)
    assert waiting.state is JobState.WAITING
    assert (ended.state, ended.reason) == (JobState.ENDED, "time-limit")
    assert Torque().read_jobs("") == []


def test_moab_is_read() -> None:
    jobs = by_id(Moab(), MOAB_JOBS)
    running, waiting = jobs["881196"], jobs["881200"]
    assert (running.name, running.state, running.host) == ("JOBNAME.deeptools", JobState.RUNNING, "m13s0703")
    assert running.ends_at == datetime.fromtimestamp(1562924509 + 10800, UTC)
    assert (waiting.state, waiting.message, waiting.expected_start) == (JobState.WAITING, "In the queue: Idle.", None)


def test_lsf_is_read() -> None:
    jobs = by_id(LSF(), LSF_JOBS)
    ended, waiting, running, done = (jobs[name] for name in ("764213236", "764220165", "764254593", "764399747"))
    assert (ended.state, ended.reason, ended.code) == (JobState.ENDED, "time-limit", 130)
    assert waiting.message == "In the queue: Job slot limit reached; or | another one."
    assert (running.name, running.state, running.host) == ("test", JobState.RUNNING, "lxbsu2710")
    assert running.ends_at is not None
    assert (running.ends_at.month, running.ends_at.day, running.ends_at.minute) == (2, 2, 40)
    assert (done.state, done.code) == (JobState.ENDED, 0)


def test_grid_engine_is_read() -> None:
    jobs = by_id(GridEngine(), GRID_ENGINE_JOBS)
    running, held, failed = jobs["1212299"], jobs["1212322"], jobs["1212323"]
    assert (running.name, running.state, running.host) == ("Heusler", JobState.RUNNING, "node080")
    assert (held.state, held.message, held.is_hopeless) == (JobState.WAITING, "In the queue: it is held (hqw).", False)
    assert failed.is_hopeless
    record = GridEngine().read_account(GRID_ENGINE_RECORD)
    assert record is not None
    assert (record.id, record.name, record.reason, record.code) == ("1212299", "Heusler", "time-limit", 137)
    assert GridEngine().read_account("error: job id 17 not found") is None


def test_htcondor_is_read() -> None:
    jobs = by_id(HTCondor(), HTCONDOR_JOBS)
    assert (jobs["5184660"].id, jobs["5184660"].state) == ("5184660.0", JobState.WAITING)
    assert (jobs["423"].name, jobs["423"].state, jobs["423"].host) == ("runs", JobState.RUNNING, "execute.example")
    assert (jobs["424"].state, jobs["424"].reason) == (JobState.ENDED, "out-of-memory")
    assert (jobs["425"].is_hopeless, jobs["425"].message) == (True, "In the queue: via condor_hold (by user ann).")
    assert jobs["426"].reason == "time-limit"
    assert HTCondor().read_jobs("") == []


@pytest.mark.parametrize(
    ("dialect", "output", "job_id"),
    [
        (PBS(), "1008.qot-calc0\n", "1008.qot-calc0"),
        (Torque(), "16376372.opt-batch.osc.edu\n", "16376372.opt-batch.osc.edu"),
        (Moab(), "\nMoab.4\n", "Moab.4"),
        (LSF(), "Job <764254593> is submitted to queue <test>.\n", "764254593"),
        (GridEngine(), " 1176936\n", "1176936"),
        (HTCondor(), "423.0 - 423.0\n", "423.0"),
    ],
)
def test_the_id_of_a_new_job_is_read(dialect: Dialect, output: str, job_id: str) -> None:
    assert dialect.read_id(output) == job_id
    with pytest.raises(UnreadableAnswerError):
        dialect.read_id("")


@pytest.mark.parametrize("dialect", OTHERS, ids=lambda dialect: dialect.title)
def test_no_system_but_slurm_claims_to_be_tried(dialect: Dialect) -> None:
    assert not dialect.is_tried
    assert dialect_for("slurm").is_tried


@pytest.mark.parametrize("dialect", OTHERS, ids=lambda dialect: dialect.title)
def test_a_submission_names_its_job_and_keeps_its_script_out_of_the_arguments(dialect: Dialect) -> None:
    command = dialect.submit(SUBMISSION)
    assert SUBMISSION.name in " ".join((*command.argv, command.stdin))
    assert not any("exec true" in word for word in command.argv)
    assert any("3600" in text or "60" in text for text in (*command.argv, command.stdin))


def test_htcondor_gets_its_program_as_words_in_which_nothing_is_a_macro() -> None:
    text = HTCondor().submit(SUBMISSION).stdin
    assert """arguments = "'-m' 'x' '/data/it''s $(DOLLAR)HOME ""a"" %J'"\n""" in text
    assert "shell" not in text
    assert text.endswith("queue 1\n")


@pytest.mark.parametrize(
    ("changes", "option"),
    [({"qos": "high"}, "qos"), ({"reservation": "class"}, "reservation"), ({"partition": "gpu"}, "partition")],
)
def test_what_a_system_does_not_have_is_refused_by_name(changes: dict[str, str], option: str) -> None:
    refusing = [dialect for dialect in OTHERS if option in dialect.unknown_options]
    assert refusing
    for dialect in refusing:
        with pytest.raises(ValueError, match=option):
            dialect.check(replace(SUBMISSION, options=BatchOptions(**changes)).options)


@pytest.mark.parametrize("read", [kind().read_jobs for kind in SYSTEMS.values()])
@settings(deadline=None)
@given(output=st.text() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(str))
def test_no_answer_ends_in_anything_but_a_list_or_a_refusal(read: Callable[[str], list[Job]], output: str) -> None:
    with contextlib.suppress(UnreadableAnswerError):
        assert isinstance(read(output), list)
