"""What `studiolo git` runs in a session: git itself, with the person's name where none is configured."""

import os
import subprocess
from pathlib import Path

from studiolo.cli.execution import GIT


def test_commits_have_the_persons_name_and_leave_out_what_studiolo_keeps(tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path / "home"), "GIT_CONFIG_NOSYSTEM": "1"}

    def git(*words: str) -> str:
        argv = ["/bin/sh", "-c", GIT, "git", "Ana Ruiz", "ana@example.com", *words]
        done = subprocess.run(argv, cwd=work, env=environment, capture_output=True, text=True, timeout=60, check=True)
        return done.stdout

    work = tmp_path / "work"
    (work / ".studiolo").mkdir(parents=True)
    (work / ".studiolo" / "note").touch()
    (work / "a b.txt").touch()
    git("init")
    git("add", ".")
    git("commit", "-m", "Initial $HOME 'commit'")
    shown = git("log", "--format=%an <%ae> by %cn <%ce>: %s", "--name-only").splitlines()
    assert shown == [
        "Ana Ruiz <ana@example.com> by Ana Ruiz <ana@example.com>: Initial $HOME 'commit'",
        "",
        "a b.txt",
    ]
    git("config", "user.name", "Somebody Else")
    git("commit", "--allow-empty", "-m", "Second")
    assert git("log", "-1", "--format=%an <%ae>") == "Somebody Else <ana@example.com>\n"
