"""Load one command, give it the shared options, run it."""

import functools
import gc
import importlib
import inspect
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any, get_args, get_type_hints

import typer
from typer.main import get_command
from typer.models import OptionInfo

from studiolo.cli.failure import report
from studiolo.cli.invocation import Invocation, invoked
from studiolo.cli.table import Entry
from studiolo.contract.errors import InvalidInput, StudioloError, Unavailable

_SHARED: dict[str, Any] = {
    "as_json": Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")],
    "verbose": Annotated[bool, typer.Option("--verbose", help="Show the trace of an error.")],
    "url": Annotated[str | None, typer.Option("--url", help="Address of the platform.", metavar="URL")],
    "insecure": Annotated[bool, typer.Option("--insecure", help="Send the key to another machine unencrypted.")],
}
_SHARED_DEFAULTS: dict[str, Any] = {"as_json": False, "verbose": False, "url": None, "insecure": False}
_INTERRUPTED = 130


def run_command(entry: Entry, program: str, args: Sequence[str]) -> int:
    """Run a command with its arguments and return the exit code; no exception gets out."""
    plain = list(args[: args.index("--")] if "--" in args else args)
    try:
        command = get_command(app_for(entry, program))
        if not gc.isenabled():
            # What is loaded stays to the end, and then nobody need look through it either.
            gc.freeze()
            gc.enable()
        code = command.main(list(args), prog_name=f"{program} {entry.words}", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except typer.Abort:
        return report(_cancelled(), as_json="--json" in plain)
    except typer.TyperException as error:
        return report(_usage(error, f"{program} {entry.words}"), as_json="--json" in plain)
    except KeyboardInterrupt:
        return _INTERRUPTED
    except Exception as error:
        return report(error, as_json="--json" in plain, verbose="--verbose" in plain)


def app_for(entry: Entry, program: str = "studiolo") -> typer.Typer:
    """Return a command as a typer application of one. Raises Unavailable if it needs more than is installed."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    add_command(app, entry, program)
    return app


def add_command(app: typer.Typer, entry: Entry, program: str = "studiolo") -> None:
    """Add a command to a typer application."""
    function = with_shared_options(_load(entry), program)
    settings: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
    if hasattr(function, "passes_options_on"):
        # From the first argument on, options are another program's.
        settings |= {"ignore_unknown_options": True, "allow_interspersed_args": False}
    app.command(entry.words.split()[-1], help=_help(function, entry), context_settings=settings)(function)


def with_shared_options(function: Callable[..., Any], program: str) -> Callable[..., Any]:
    """Return the function with the shared options in its signature, all but those that it declares itself.

    Commands of the server act on this machine and take no address.
    """
    signature = inspect.signature(function, eval_str=True)
    own = {flag: name for name, hint in get_type_hints(function, include_extras=True).items() for flag in _flags(hint)}
    skipped = {"url", "insecure"} if function.__module__.startswith(("studiolo.server", "studiolo.gateway")) else set()
    added = {
        name: hint
        for name, hint in _SHARED.items()
        if name not in skipped and not any(flag in own for flag in _flags(hint))
    }

    @functools.wraps(function)
    def call(**given: Any) -> Any:
        shared = {name: given.pop(name) for name in added}
        if "--json" in own:
            shared["as_json"] = bool(given[own["--json"]])
        as_json = shared.pop("as_json")
        with invoked(Invocation(program, as_json, **shared)):
            function(**given)

    keyword = inspect.Parameter.KEYWORD_ONLY
    call.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[
            *(parameter.replace(kind=keyword) for parameter in signature.parameters.values()),
            *(
                inspect.Parameter(name, keyword, default=_SHARED_DEFAULTS[name], annotation=hint)
                for name, hint in added.items()
            ),
        ],
        return_annotation=None,
    )
    call.__annotations__ = {**get_type_hints(function, include_extras=True), **added}
    return call


def _load(entry: Entry) -> Callable[..., Any]:
    # httpx imports a command line of its own where it can: a tenth of our start, for nothing that we use.
    sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
    module, _, name = entry.target.partition(":")
    try:
        function: Callable[..., Any] = getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as exc:
        if module.startswith("studiolo.gateway"):
            raise Unavailable(
                "gateway-not-installed",
                f"`{entry.words}` serves kernels, and what it needs is not installed here ({exc.name} is missing).",
                hint='Install it with `pip install "studiolo[gateway]"`.',
            ) from exc
        raise Unavailable(
            "server-not-installed",
            f"`{entry.words}` runs the platform, which is not installed here ({exc.name} is missing).",
            hint='Install it with `pip install "studiolo[server]"`.',
        ) from exc
    return function


def _flags(hint: Any) -> list[str]:
    """Return the spellings of an option from its annotation."""
    options = [metadata for metadata in get_args(hint)[1:] if isinstance(metadata, OptionInfo)]
    # Within Annotated, the first spelling stands where a default would.
    declarations = [text for option in options for text in (option.default, *(option.param_decls or ()))]
    return [flag for text in declarations if isinstance(text, str) for flag in text.split("/")]


def _help(function: Callable[..., Any], entry: Entry) -> str:
    return inspect.getdoc(function) or f"{entry.summary}."


def _usage(error: typer.TyperException, command: str) -> StudioloError:
    message = error.format_message().replace("\n", " ").strip()
    return InvalidInput(
        "usage-invalid",
        message if message.endswith((".", ")", "?")) else f"{message}.",
        hint=f"`{command} --help` shows what it takes.",
    )


def _cancelled() -> StudioloError:
    return InvalidInput("cancelled", "Cancelled; nothing was changed.")
