"""Asking a batch system: by its commands, here or where a prefix leads, each within its time."""

import asyncio
import contextlib
import os
import shlex
import signal
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from studiolo.contract.errors import Unavailable
from studiolo.engines.slurm.dialect import Command

# What the clients of batch systems, and ssh or sudo before them, need of our environment. Nothing else is handed on:
# Slurm exports what its client has to the job.
_PASSED_ON = frozenset(
    {
        *("PATH", "HOME", "USER", "LOGNAME", "TZ", "SSH_AUTH_SOCK", "KRB5CCNAME", "LD_LIBRARY_PATH"),
        *("SLURM_CONF", "PBS_CONF_FILE", "PBS_DEFAULT", "MOABHOMEDIR", "LSF_ENVDIR", "LSF_SERVERDIR", "LSF_BINDIR"),
        *("LSF_LIBDIR", "SGE_ROOT", "SGE_CELL", "SGE_CLUSTER_NAME", "SGE_QMASTER_PORT", "CONDOR_CONFIG"),
    }
)
_NOT_FOUND = 127
# Many sessions at once are no reason to fill this machine, and the scheduler's ears, with clients.
_AT_ONCE = 8
_ERROR_CHARACTERS = 2000


@dataclass(frozen=True, slots=True)
class Answer:
    """How a command ended and what it printed."""

    code: int
    output: str
    error: str


class Runner(ABC):
    """Has what a dialect asks for done."""

    @abstractmethod
    async def run(self, command: Command) -> Answer:
        """Run `command`. Raises Unavailable (`engine-unavailable`) when it cannot be run or does not end in time."""

    async def ask(self, command: Command) -> str:
        """Return what `command` prints. Raises Unavailable (`engine-unavailable`) also when it fails."""
        answer = await self.run(command)
        if answer.code:
            raise failed(command, answer)
        return answer.output

    async def aclose(self) -> None:
        """Let go of what is held; nothing is by default."""
        return


class Commands(Runner):
    """Runs commands behind `prefix`, each for at most `timeout` seconds."""

    def __init__(self, prefix: Sequence[str], variables: Mapping[str, str], timeout: float) -> None:
        self._prefix = tuple(prefix)
        self._variables = tuple(variables.items())
        self._timeout = timeout
        self._places = asyncio.Semaphore(_AT_ONCE)

    async def run(self, command: Command) -> Answer:
        """See Runner.run."""
        async with self._places:
            return await self._run(command)

    def line(self, command: Command) -> tuple[str, ...]:
        """Return all words of what is run. Over ssh a shell reads them there, so that they are quoted for it."""
        variables = [f"{name}={value}" for name, value in (*self._variables, *command.variables)]
        words = [*(["env", *variables] if variables else []), *command.argv]
        if self._prefix and PurePath(self._prefix[0]).name == "ssh":
            return (*self._prefix, shlex.join(words))
        return (*self._prefix, *words)

    async def _run(self, command: Command) -> Answer:
        argv = self.line(command)
        # A file: a program that ends before it has read a pipe would be an error of ours.
        with tempfile.TemporaryFile() as given:
            given.write(command.stdin.encode())
            given.seek(0)
            try:
                process = await asyncio.create_subprocess_exec(
                    *argv,
                    stdin=given,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.PIPE,
                    env={name: os.environ[name] for name in _PASSED_ON if name in os.environ} | {"LC_ALL": "C"},
                    # So that all of a prefix's processes end with it.
                    start_new_session=True,
                )
            except OSError as exc:
                raise unavailable(f"{argv[0]} cannot be run: {exc.strerror}", str(exc)) from exc
        try:
            async with asyncio.timeout(self._timeout):
                output, error = await process.communicate()
        except TimeoutError as exc:
            said = f"{command.argv[0]} did not answer within {self._timeout:g} s"
            raise unavailable(said, " ".join(command.argv)) from exc
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        code = process.returncode if process.returncode is not None else 1
        answer = Answer(code, output.decode(errors="replace"), error.decode(errors="replace")[-_ERROR_CHARACTERS:])
        if code == _NOT_FOUND:
            raise unavailable(f"{command.argv[0]} is not found", answer.error)
        return answer


def failed(command: Command, answer: Answer) -> Unavailable:
    """Return the error for a command that failed."""
    return unavailable(f"{command.argv[0]} failed: {first_line(answer.error) or answer.code}", answer.error)


def first_line(text: str) -> str:
    """Return the first line that says something, without the program's name, its marks and a stop at the end."""
    line = next((line for line in text.splitlines() if line.strip()), "").strip()
    return line.partition(": error: ")[2].rstrip(".") or line.rstrip(".")


def unavailable(what: str, detail: str) -> Unavailable:
    """Return the error for a batch system that cannot be asked; `what` is a sentence without its stop."""
    return Unavailable(
        "engine-unavailable",
        f"The batch system does not answer: {what}.",
        hint="It is asked again by itself; try the command by hand as the platform's account if it stays so.",
        detail=detail,
    )
