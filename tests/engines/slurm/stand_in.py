"""A batch system of one node, for tests: run as `stand_in.py FOLDER COMMAND WORDS…`, it is any of those below.

It takes the options that the manuals have and no others, runs jobs at once, and prints what the real ones print: the forms
are those of the recorded output in test_presets.py. It shows that sessions run by these commands, not how a site behaves.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil

# Each option that may be given, and whether a word follows it.
_VALUED = {
    "torque": ("-N", "-o", "-j", "-r", "-d", "-l", "-q", "-A"),
    "gridengine": ("-N", "-o", "-j", "-wd", "-r", "-S", "-C", "-pe", "-l", "-q", "-P", "-ar"),
    "lsf": ("-J", "-o", "-cwd", "-env", "-n", "-R", "-M", "-W", "-q", "-P", "-U", "-gpu"),
}
_PLAIN = {"torque": (), "gridengine": ("-terse",), "lsf": ("-rn",)}
_HOST = "node01"


class Jobs:
    """The jobs of a folder: a file each."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def all(self) -> Iterator[dict[str, Any]]:
        """Return all, with `is_over` as it is now."""
        for path in sorted(self.folder.glob("*.json")):
            job = json.loads(path.read_text())
            end = path.with_suffix(".end")
            yield job | {"is_over": end.exists(), "status": int(end.read_text()) if end.exists() else 0}

    def find(self, words: Sequence[str]) -> dict[str, Any]:
        """Return the one whose id is among `words`."""
        wanted = {word.partition(".")[0] for word in words}
        found = next((job for job in self.all() if job["id"] in wanted), None)
        if found is None or found["is_over"]:
            # All have other words for it; these are what each dialect knows among others.
            sys.exit("qdel: Unknown Job Id, does not exist, is not found; Couldn't find it; cannot locate job")
        return found

    def add(self, name: str, argv: Sequence[str], *, folder: str, log: str, stdin: str) -> str:
        """Run a job; returns its id."""
        number = str(len(list(self.folder.glob("*.json"))) + 17)
        job = {"id": number, "name": name, "began": int(time.time())}
        (self.folder / f"{number}.in").write_text(stdin)
        keep = [sys.executable, __file__, str(self.folder), "keep", number, folder, log, *argv]
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        keeper = subprocess.Popen(keep, start_new_session=True, **quiet)
        (self.folder / f"{number}.part").write_text(json.dumps(job | {"keeper": keeper.pid}))
        (self.folder / f"{number}.part").rename(self.folder / f"{number}.json")
        return number


def _keep(jobs: Jobs, words: Sequence[str]) -> None:
    """Run a job to its end, as the daemon of a node does: with a variable or two, whatever the submitter had."""
    number, folder, log, *argv = words
    env = {"HOME": str(Path.home()), "PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}
    with (jobs.folder / f"{number}.in").open() as given, Path(log).open("w") as out:
        done = subprocess.run(argv, cwd=folder, env=env, stdin=given, stdout=out, stderr=out, check=False)
    end = jobs.folder / f"{number}.ends"
    end.write_text(str(done.returncode if done.returncode >= 0 else 256 - done.returncode))
    end.rename(end.with_suffix(".end"))


def _signal(job: dict[str, Any], *, everything: bool) -> None:
    """SIGTERM to the job's first process, or SIGKILL to all."""
    keeper = psutil.Process(job["keeper"])
    processes = keeper.children(recursive=everything)
    for process in processes if everything else processes[:1]:
        process.send_signal(signal.SIGKILL if everything else signal.SIGTERM)


def end_all(folder: Path) -> None:
    """End what a test that failed has left."""
    for job in Jobs(folder).all():
        if not job["is_over"]:
            _signal(job, everything=True)


def _options(system: str, words: Sequence[str]) -> dict[str, str]:
    """Return the options of a submission; ends the program at one that the manual does not have."""
    found, rest = {}, list(words)
    while rest:
        option = rest.pop(0)
        if option in _VALUED[system] and rest:
            found[option] = rest.pop(0)
        elif option not in _PLAIN[system]:
            sys.exit(f"qsub: unknown option {option}. Job not submitted.")
    return found


def _submit(system: str, folder_option: str, name_option: str, form: str) -> Callable[[Jobs, Sequence[str]], None]:
    def submit(jobs: Jobs, words: Sequence[str]) -> None:
        given = _options(system, words)
        log = given["-o"].replace("%%", "%")
        script = sys.stdin.read()
        number = jobs.add(given[name_option], ["/bin/sh"], folder=given[folder_option], log=log, stdin=script)
        print(form.format(number))

    return submit


def _qsub(jobs: Jobs, words: Sequence[str]) -> None:
    is_terse = "-terse" in words
    how = ("gridengine", "-wd", "-N", "{}") if is_terse else ("torque", "-d", "-N", "{}.server.example")
    _submit(*how)(jobs, words)


def _qstat(jobs: Jobs, words: Sequence[str]) -> None:
    if list(words) == ["-xml"]:
        rows = "".join(
            f"<job_list state='running'><JB_job_number>{job['id']}</JB_job_number><JB_name>{job['name']}</JB_name>"
            f"<state>r</state><queue_name>all.q@{_HOST}</queue_name><slots>1</slots></job_list>"
            for job in jobs.all()
            if not job["is_over"]
        )
        print(f"<?xml version='1.0'?><job_info><queue_info>{rows}</queue_info><job_info></job_info></job_info>")
        return
    assert list(words) == ["-x"], words
    rows = "".join(
        f"<Job><Job_Id>{job['id']}.server.example</Job_Id><Job_Name>{job['name']}</Job_Name>"
        f"<job_state>{'C' if job['is_over'] else 'R'}</job_state><exec_host>{_HOST}/0</exec_host>"
        f"<start_time>{job['began']}</start_time><Resource_List><walltime>00:10:00</walltime></Resource_List>"
        + (f"<exit_status>{job['status']}</exit_status>" if job["is_over"] else "")
        + "</Job>"
        for job in jobs.all()
    )
    print(f"<Data>{rows}</Data>")


def _showq(jobs: Jobs, words: Sequence[str]) -> None:
    rows = "".join(
        f'<job JobID="{job["id"]}" JobName="{job["name"]}" MasterHost="{_HOST}" State="Running" '
        f'StartTime="{job["began"]}" ReqAWDuration="600"/>'
        for job in jobs.all()
        if not job["is_over"]
    )
    print(f'<Data><Object>queue</Object><queue count="1" option="active">{rows}</queue></Data>')


def _bjobs(jobs: Jobs, words: Sequence[str]) -> None:
    assert words[:2] == ["-a", "-noheader"], words
    for job in jobs.all():
        began = time.strftime("%b %e %H:%M", time.localtime(job["began"]))
        state = ("EXIT" if job["status"] else "DONE") if job["is_over"] else "RUN"
        code = str(job["status"]) if job["is_over"] else "-"
        print(f"{job['id']}|{state}|{code}|{_HOST}|{began}|-|{job['name']}|-|-")


def _qacct(jobs: Jobs, words: Sequence[str]) -> None:
    job = next((job for job in jobs.all() if job["id"] == words[1] and job["is_over"]), None)
    if job is None:
        sys.exit(f"error: job id {words[1]} not found")
    print("=" * 62)
    for name, value in (
        ("jobname", job["name"]),
        ("jobnumber", job["id"]),
        ("failed", 0),
        ("exit_status", job["status"]),
    ):
        print(f"{name:<13}{value}")


def _condor_submit(jobs: Jobs, words: Sequence[str]) -> None:
    assert list(words) == ["-terse", "-"], words
    lines = dict(line.split(" = ", 1) for line in sys.stdin.read().splitlines() if " = " in line)
    lines = {name: value.replace("$(DOLLAR)", "$") for name, value in lines.items()}
    quoted = re.findall(r"'((?:[^']|'')*)'", lines["arguments"][1:-1])
    argv = [lines["executable"], *(word.replace("''", "'").replace('""', '"') for word in quoted)]
    number = jobs.add(lines["batch_name"], argv, folder=lines["initialdir"], log=lines["output"], stdin="")
    print(f"{number}.0 - {number}.0")


def _condor(jobs: Jobs, *, over: bool, only: str | None = None) -> None:
    shown = []
    for job in jobs.all():
        if job["is_over"] is over and only in (None, job["id"]):
            about = {
                "ClusterId": int(job["id"]),
                "ProcId": 0,
                "JobBatchName": job["name"],
                "JobStatus": 4 if over else 2,
            }
            ended = {"ExitCode": job["status"]} if over else {"RemoteHost": f"slot1@{_HOST}"}
            shown.append(about | ended)
    if shown:
        print(json.dumps(shown, indent=1))


_COMMANDS: dict[str, Callable[[Jobs, Sequence[str]], None]] = {
    "keep": _keep,
    "qsub": _qsub,
    "qstat": _qstat,
    "qsig": lambda jobs, words: _signal(jobs.find(words), everything=False),
    "qdel": lambda jobs, words: _signal(jobs.find(words), everything=True),
    "qacct": _qacct,
    "msub": _submit("torque", "-d", "-N", "\n{}"),
    "showq": _showq,
    "mjobctl": lambda jobs, words: _signal(jobs.find(words), everything=words[0] == "-c"),
    "bsub": _submit("lsf", "-cwd", "-J", "Job <{}> is submitted to queue <normal>."),
    "bjobs": _bjobs,
    "bkill": lambda jobs, words: _signal(jobs.find(words), everything=words[0] != "-s"),
    "condor_submit": _condor_submit,
    "condor_q": lambda jobs, words: _condor(jobs, over=False),
    "condor_history": lambda jobs, words: _condor(jobs, over=True, only=words[0].partition(".")[0]),
    # It asks first, and ends what has not ended after a while.
    "condor_rm": lambda jobs, words: _signal(jobs.find(words), everything=False),
}

if __name__ == "__main__":
    os.umask(0o077)
    _COMMANDS[sys.argv[2]](Jobs(Path(sys.argv[1])), sys.argv[3:])
