"""Shell completion: the whole command tree as one typer application, which knows how shells ask."""

import os
from enum import StrEnum
from typing import Annotated

import typer
from typer.main import get_command

from studiolo.cli.command import add_command
from studiolo.cli.invocation import current
from studiolo.cli.table import COMMANDS
from studiolo.contract.errors import StudioloError


class Shell(StrEnum):
    """Shells that can be completed."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def completion(shell: Annotated[Shell, typer.Argument(metavar="SHELL", help="bash, zsh or fish.")]) -> None:
    """Print a script that completes commands, options and names; load it from your shell's start file.

    For bash: studiolo completion bash >> ~/.bashrc
    """
    program = current().program.split()[0]
    os.environ[_variable(program)] = f"source_{shell}"
    complete(program)


def complete(program: str) -> int:
    """Answer what a shell asks in the environment variable `_PROGRAM_COMPLETE`; returns the exit code."""
    name = program.split()[0]
    tree = command_tree()
    if name == "ml":
        tree.add_typer(command_tree(), name="jupyter", help="Notebooks")
    try:
        get_command(tree).main([], prog_name=name, complete_var=_variable(name))
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    return 0


def command_tree() -> typer.Typer:
    """Return all commands that are installed as one application."""
    tree = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)
    nouns: dict[str, typer.Typer] = {}
    # `trash` alone is `trash list`; for a shell it is a noun only.
    groups = {entry.words.split()[0] for entry in COMMANDS if " " in entry.words}
    for entry in COMMANDS:
        if entry.words in groups:
            continue
        noun = entry.words.rpartition(" ")[0]
        if noun not in nouns:
            nouns[noun] = typer.Typer(rich_markup_mode=None) if noun else tree
            if noun:
                tree.add_typer(nouns[noun], name=noun)
        try:
            add_command(nouns[noun], entry)
        except StudioloError:
            # A command of the server, which is not installed here.
            continue
    return tree


def _variable(program: str) -> str:
    return f"_{program.replace('-', '_').upper()}_COMPLETE"
