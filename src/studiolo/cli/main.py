"""Entry points of `studiolo`, `ml` and `jupyter studiolo`: find the command, run it, print what went wrong.

`--help` and unknown commands are answered from the table alone; a command's own imports happen when it runs.
"""

import gc
import os
import sys
from collections.abc import Sequence
from pathlib import PurePath

from studiolo import __version__
from studiolo.cli.overview import overview
from studiolo.cli.table import COMMANDS, Entry, below, find

# What a shell reports for a program that SIGPIPE ended.
_READER_GONE = 141
_INTERRUPTED = 130
_HELP = ("--help", "-h", "help")


def main() -> int:
    """Run `studiolo` (or `jupyter studiolo`) and return the exit code."""
    _put_off_collections()
    called = PurePath(sys.argv[0]).name
    return run("jupyter studiolo" if called == "jupyter-studiolo" else "studiolo", sys.argv[1:])


def main_ml() -> int:
    """Run `ml`; `ml jupyter …` and `ml …` are `studiolo …`."""
    _put_off_collections()
    args = sys.argv[1:]
    if args[:1] == ["jupyter"]:
        return run("ml jupyter", args[1:])
    return run("ml", args)


def _put_off_collections() -> None:
    """Look for garbage when the command runs, not while its modules load: there is none, and to look takes 0.1 s."""
    gc.disable()


def run(program: str, args: Sequence[str]) -> int:
    """Run one command line and return its exit code; `program` is how people called us."""
    try:
        code = _run(program, args)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader (`| head`) had enough. What is still buffered would fail again when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _READER_GONE
    except KeyboardInterrupt:
        # Before or after the command itself: while modules load.
        return _INTERRUPTED
    return code


def _run(program: str, args: Sequence[str]) -> int:
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a sign gets a question mark, not a trace.
        getattr(stream, "reconfigure", lambda **_: None)(errors="replace")
    if f"_{program.split()[0].upper()}_COMPLETE" in os.environ:
        from studiolo.cli.completion import complete

        return complete(program)
    args = _command_first(args)
    if not args or args[0] in _HELP:
        print(overview(program, COMMANDS))
        return 0
    if args[0] == "--version":
        print(f"studiolo {__version__}")
        return 0
    entry = find(args)
    if entry is None:
        return _without_command(program, args)
    from studiolo.cli.command import run_command

    return run_command(entry, program, args[len(entry.words.split()) :])


def _command_first(args: Sequence[str]) -> list[str]:
    """Move `--json` and `--verbose` behind the command, where they are read."""
    leading = 0
    while leading < len(args) and args[leading] in ("--json", "--verbose"):
        leading += 1
    return [*args[leading:], *args[:leading]]


def _without_command(program: str, args: Sequence[str]) -> int:
    """Answer a command line that names no command: the help of a noun, or an error with near names."""
    nouns: list[Entry] = below(args[0])
    if nouns and (len(args) == 1 or args[1] in _HELP):
        verbs = [entry._replace(words=entry.words.split()[1]) for entry in nouns]
        print(overview(f"{program} {args[0]}", verbs))
        return 0 if len(args) > 1 else 2
    from studiolo.cli.failure import report, unknown_command

    return report(unknown_command(program, args), as_json="--json" in args)
