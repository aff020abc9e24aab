"""Say what went wrong: to a person on stderr, to a program as a problem object on stdout."""

import json
import sys
import traceback
from collections.abc import Sequence

from studiolo.cli.table import COMMANDS, below
from studiolo.contract.errors import CODES, EXIT_CODE, HTTP_STATUS, Internal, InvalidInput, StudioloError

_SIGN_IN = "Sign in with `studiolo login URL`. On the platform's own machine `studiolo up` does it, also while it runs."

# What shells report for a program that cannot be started.
_EXIT_CODE_OF = {"command-failed": 127}


def report(error: BaseException, *, as_json: bool = False, verbose: bool = False) -> int:
    """Print an error and return the exit code for it.

    As JSON: the members of a problem reply (RFC 9457) with `code`, `kind` and `hint`.
    """
    if verbose:
        traceback.print_exception(error, file=sys.stderr)
    known = error if isinstance(error, StudioloError) else _unexpected(error)
    if known.code == "not-signed-in":
        # The platform's own hint is for programs that send requests.
        known.hint = _SIGN_IN
    if as_json:
        print(json.dumps(_problem(known), indent=2, default=str))
    else:
        hint = f"\n\nhint: {known.hint}" if known.hint else ""
        print(f"error: {known.message}{''.join(_details(known))}{hint}", file=sys.stderr)
    return _EXIT_CODE_OF.get(known.code) or EXIT_CODE.get(known.kind, 1)


def unknown_command(program: str, args: Sequence[str]) -> InvalidInput:
    """Return the error for words that name no command, with the nearest that do."""
    import difflib

    nouns = below(args[0])
    typed = " ".join(args[: 2 if nouns else 1])
    near = difflib.get_close_matches(typed, [entry.words for entry in nouns or COMMANDS], n=3, cutoff=0.5)
    meant = f"Did you mean {' or '.join(f'`{program} {words}`' for words in near)}? " if near else ""
    what = "option" if typed.startswith("-") else "command"
    listing = f"{program} {args[0]} --help" if nouns else f"{program} --help"
    return InvalidInput(
        "usage-invalid",
        f"There is no {what} {typed!r}.",
        hint=f"{meant}`{listing}` lists all.",
        candidates=near,
    )


def _unexpected(error: BaseException) -> Internal:
    return Internal(
        "internal",
        f"An unexpected fault: {type(error).__name__}: {error}".rstrip(": ") + ".",
        hint="Run it again with --verbose to see the trace, and report it.",
    )


def _details(error: StudioloError) -> list[str]:
    """Return a line for each fault of a file, which has its place; faults of fields stand in the message.

    So does a single fault of a file where the message names its line.
    """
    errors = error.extra.get("errors")
    faults = [fault for fault in (errors if isinstance(errors, list) else []) if isinstance(fault, dict)]
    placed = [fault for fault in faults if fault.get("line")]
    if len(placed) == 1 and f"line {placed[0]['line']}," in error.message:
        return []
    return [
        f"\n  line {one['line']}, column {one.get('column', 1)}: {_subject(one)}{one.get('message')}" for one in placed
    ]


def _subject(fault: dict[str, object]) -> str:
    return f"{fault['location']}: " if fault.get("location") else ""


def _problem(error: StudioloError) -> dict[str, object]:
    return {
        "type": "about:blank",
        "title": CODES.get(error.code, error.message),
        "status": HTTP_STATUS[error.kind],
        "detail": error.message,
        "code": error.code,
        "kind": error.kind,
        "hint": error.hint,
        **error.extra,
    }
