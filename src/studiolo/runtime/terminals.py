"""Terminals of a session: the person's own shell, in the workspace's environment."""

import os
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jupyter_server_terminals.terminalmanager import TerminalManager

from studiolo.runtime import processes


class WorkspaceTerminals(TerminalManager):
    """All terminals; tells `on_change` when one, or a command from outside, starts."""

    on_change: Callable[[], None] = staticmethod(lambda: None)

    def new_terminal(self, **kwargs: Any) -> Any:
        """Called for each new terminal, however it was asked for."""
        self.on_change()
        terminal = super().new_terminal(**kwargs)
        processes.offer_to_oom_killer(processes.WORK_OOM_SCORE, terminal.ptyproc.pid)
        return terminal


def shell_command(folder: Path, environment: Path) -> list[str]:
    """Return the command of the person's shell; a start file that it needs is written into `folder`.

    No login shell: /etc/profile would reset PATH. For bash the environment is put first again after the
    person's own start file, which may put other Pythons (pyenv, conda) before it.
    """
    shell = os.environ.get("SHELL") or shutil.which("bash") or "/bin/sh"
    if Path(shell).name != "bash":
        return [shell]
    start_file = folder / "bashrc"
    start_file.write_text(
        "for file in /etc/bash.bashrc ~/.bashrc; do [ -r $file ] && . $file; done; unset file\n"
        f"export PATH={shlex.quote(str(environment / 'bin'))}:$PATH\n"
        "hash -r\n"
    )
    return [shell, "--rcfile", str(start_file), "-i"]
