"""`conda` in sessions, where no other is installed: install, list, remove and search in the workspace's environment.

It solves nothing itself: it asks the platform with the session's own key, shows how the build goes, and says why
something was refused. It is run by its path, by any Python, and imports the standard library only.
"""

import argparse
import json
import os
import re
import ssl
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import Request, urlopen

_SECONDS = 60.0
_ENDED = 2
_FAILED = 1
_SPEC = re.compile(
    r"((?P<channel>[^:\s\[]+)::)?(?P<name>[A-Za-z0-9_][A-Za-z0-9_.-]*)\s*(?P<versions>[=<>!~][^\s=][^\s]*|==[^\s]+)?",
    re.ASCII,
)
_OURS = (
    "This is Studiolo's conda: it changes the environment of this workspace, and knows install, list, remove, search."
)

_OTHERS = {"activate", "clean", "config", "create", "deactivate", "env", "export", "info", "init", "run"}
_ONE_ENVIRONMENT = (
    "A workspace has one environment. Make another workspace for another one, or install a conda of your own."
)


class Refused(Exception):
    """What stands in the way, for people; `hint` is the next step."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Returns its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if words and words[0] in _OTHERS:
            raise Refused(_OURS, _ONE_ENVIRONMENT)
        asked = _parser().parse_args(words)
        asked.run(asked)
    except Refused as exc:
        print(f"error: {exc}", file=sys.stderr)
        if exc.hint:
            print(f"\nhint: {exc.hint}", file=sys.stderr)
        return _FAILED
    except KeyboardInterrupt:
        print("What was begun goes on; studiolo environment history shows it.", file=sys.stderr)
        return 130
    return 0


def install(asked: argparse.Namespace) -> None:
    """Ask for packages, and wait until they are there."""
    specs = [_read_spec(text) for text in asked.packages]
    if not specs:
        raise Refused("No package is named.", "conda install -c conda-forge matplotlib")
    channels = [*asked.channel, *(channel for channel, _ in specs if channel)]
    form = {
        "packages": [spec for _, spec in specs],
        "ecosystem": "conda",
        "channels": [*channels, *(["nodefaults"] if asked.override_channels else [])],
        "upgrade": asked.upgrade,
    }
    if asked.dry_run:
        plan = ask("POST", "packages/check", {"packages": form["packages"], "ecosystem": "conda"})
        _show(asked, plan, plan["packages"])
        return
    _see_through(asked, ask("POST", "packages", form))


def remove(asked: argparse.Namespace) -> None:
    """Ask for packages to be taken out, and wait until they are gone."""
    _see_through(asked, ask("POST", "packages/remove", {"packages": asked.packages}))


def show(asked: argparse.Namespace) -> None:
    """Print what the environment holds, of both kinds as conda does."""
    there = ask("GET", "packages")["items"]
    found = [one for one in there if re.search(asked.pattern, one["name"], re.IGNORECASE)]
    _show(asked, found, found)


def search(asked: argparse.Namespace) -> None:
    """Print the versions of a package that the trusted channels have, and whether the policy allows each."""
    wanted = "&".join(f"channel={quote(one, safe='')}" for one in asked.channel)
    found = ask("GET", f"packages/conda/{quote(asked.package, safe='')}?{wanted}")["items"]
    if not found:
        raise Refused(f"No trusted channel has a package {asked.package!r}.")
    _show(asked, found, found)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="conda", description=_OURS, epilog="All else needs a conda of your own.")
    parser.add_argument("-V", "--version", action="version", version="conda of Studiolo 1")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="Print JSON.")
    common.add_argument("-y", "--yes", action="store_true", help="Nothing is asked here in any case.")
    common.add_argument("-q", "--quiet", action="store_true", help="Do not tell how it goes.")
    channels = argparse.ArgumentParser(add_help=False)
    channels.add_argument("-c", "--channel", action="append", default=[], help="Look in this trusted channel first.")
    channels.add_argument("--override-channels", action="store_true", help="Look in no other channel.")

    def add(names: Sequence[str], run: Any, help_: str, *parents: argparse.ArgumentParser) -> argparse.ArgumentParser:
        made = commands.add_parser(names[0], aliases=names[1:], help=help_, parents=[common, *parents])
        made.set_defaults(run=run)
        return made

    for names, upgrade, what in (
        (["install"], False, "Install packages."),
        (["update", "upgrade"], True, "Take the newest versions of packages."),
    ):
        installing = add(names, install, what, channels)
        installing.set_defaults(upgrade=upgrade)
        installing.add_argument("-d", "--dry-run", action="store_true", help="Only show what it would come to.")
        installing.add_argument(
            "packages", nargs="*", metavar="PACKAGE", help="As numpy, numpy=1.26, 'numpy>=1.26,<2'."
        )
    removing = add(["remove", "uninstall"], remove, "Remove packages.")
    removing.add_argument("packages", nargs="+", metavar="PACKAGE")
    add(["list"], show, "List what is installed.").add_argument("pattern", nargs="?", default="", metavar="REGEX")
    add(["search"], search, "List versions of a package.", channels).add_argument("package", metavar="PACKAGE")
    return parser


def _read_spec(text: str) -> tuple[str, str]:
    """Return the channel, perhaps empty, and the package in the words of the platform. Raises Refused."""
    found = _SPEC.fullmatch(text.strip())
    versions = (found["versions"] or "") if found else ""
    if (
        found is None
        or text.endswith((".conda", ".tar.bz2"))
        or ("=" in versions.lstrip("=<>!~") and "," not in versions)
    ):
        raise Refused(f"{text!r} names no package.", "Write a name or versions: numpy, numpy=1.26, 'numpy>=1.26,<2'.")
    if re.fullmatch(r"=[^=]+", versions):
        # conda's one sign means all of that version's releases.
        versions = f"=={versions[1:].rstrip('.*')}.*"
    return found["channel"] or "", f"{found['name']}{versions}"


def _see_through(asked: argparse.Namespace, build: dict[str, Any]) -> None:
    """Show how a build goes until it has ended. Raises Refused if it failed."""
    ended = _follow(build["number"], quiet=asked.quiet or asked.json)
    if ended["state"] != "ready":
        raise Refused(ended.get("message") or f"Build {ended['number']} was {ended['state']}.")
    _show(asked, ended, ended["changes"], none="# All requested packages are there already.")
    if not asked.json and any(one["name"] == "python" for one in ended["changes"]):
        print("Python itself is another one now: restart kernels that are to use it.")


def _follow(number: int, *, quiet: bool) -> dict[str, Any]:
    while True:
        try:
            event = ""
            with _opened("GET", f"environment/builds/{number}/progress", None) as lines:
                for raw in lines:
                    name, _, value = raw.decode(errors="replace").rstrip("\r\n").partition(": ")
                    if name == "event":
                        event = value
                    elif name == "data" and event == "build":
                        return dict(json.loads(value))
                    elif name == "data" and event == "line" and not quiet:
                        print(value, flush=True)
        except (OSError, ValueError):
            # The platform may have been restarted; what it builds goes on.
            pass
        build = ask("GET", f"environment/builds/{number}?wait=30")
        if build["state"] != "building":
            return dict(build)


def _show(asked: argparse.Namespace, answer: Any, rows: list[dict[str, Any]], none: str = "# Nothing.") -> None:
    if asked.json:
        print(json.dumps(answer, indent=2))
        return
    if not rows:
        print(none)
    for row in rows:
        version = row.get("version") or row.get("previous") or ""
        words = (row.get("action"), row.get("channel") or row.get("ecosystem"), row.get("because"))
        print(f"{row['name']:<28} {version:<16} {'  '.join(word for word in words if word)}".rstrip())


def ask(method: str, what: str, form: dict[str, Any] | None = None) -> Any:
    """Return the platform's answer about this workspace, asked with the workload's own key. Raises Refused."""
    try:
        with _opened(method, what, form) as reply:
            return json.loads(b"".join(reply) or b"null")
    except HTTPError as exc:
        with exc:
            raise _refusal(exc) from exc
    except (URLError, OSError, ValueError) as exc:
        raise Refused(f"The platform does not answer: {exc}.", "Try again in a moment.") from exc


@contextmanager
def _opened(method: str, what: str, form: dict[str, Any] | None) -> Iterator[Any]:
    address, workspace = os.environ.get("STUDIOLO_URL"), os.environ.get("STUDIOLO_WORKSPACE")
    key_file = os.environ.get("STUDIOLO_KEY_FILE")
    if not (address and workspace and key_file):
        raise Refused("This conda works in sessions of Studiolo only.", "Run it in a notebook or a terminal of one.")
    request = Request(  # noqa: S310 - the platform's own address
        f"{address}/api/v1/jupyter/workspaces/{quote(workspace.replace('/', '~'), safe='~')}/{what}",
        method=method,
        data=None if form is None else json.dumps(form).encode(),
        headers={"Authorization": f"Bearer {Path(key_file).read_text().strip()}", "Content-Type": "application/json"},
    )
    authority = os.environ.get("STUDIOLO_CA_FILE")
    context = ssl.create_default_context(cafile=authority) if address.startswith("https:") else None
    with urlopen(request, timeout=_SECONDS, context=context) as reply:  # noqa: S310
        yield reply


def _refusal(exc: HTTPError) -> Refused:
    try:
        told = json.loads(exc.read())
        return Refused(str(told["detail"]), str(told.get("hint") or ""))
    except (OSError, ValueError, KeyError, TypeError):
        return Refused(f"The platform answers {exc.code}.", "Try again in a moment.")


if __name__ == "__main__":
    sys.exit(main())
