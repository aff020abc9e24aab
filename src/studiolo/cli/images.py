"""Commands on images that are made of a workspace's environment."""

import sys
from typing import Annotated

import typer

from studiolo.cli.arguments import WorkspaceArgument
from studiolo.cli.installing import NoWaitOption
from studiolo.cli.invocation import connect
from studiolo.cli.output import ago, emit, harmless, say
from studiolo.cli.tables import print_table
from studiolo.contract.images import EnvironmentImage
from studiolo.sdk import Studiolo

_NAMES_SHOWN = 5


def build(
    workspace: WorkspaceArgument,
    base: Annotated[
        str | None, typer.Option("--from", metavar="IMAGE", help="What to begin from; without, what sessions have.")
    ] = None,
    push: Annotated[bool, typer.Option("--push", help="Bring it to the administrator's registry, too.")] = False,
    no_wait: NoWaitOption = False,
) -> None:
    """Make an image of what a workspace's environment holds. Ctrl-C cancels.

    It has the packages of the lock, by their hashes, at /opt/environment. Made of the same, it is found again.

    \b
    Examples:
      studiolo environment image churn
      studiolo environment image churn --push
    """
    with connect() as client:
        asked = client.images.build(workspace, base=base, push=push)
        done = asked if no_wait else _finish(client, workspace, asked)
    emit(done, lambda: _print(done))


def list_(workspace: WorkspaceArgument) -> None:
    """List the images of a workspace's environment, newest first."""
    with connect() as client:
        found = client.images.list(workspace)
    rows = [
        (
            f"{one.id}{' *' if one.is_live else ''}",
            one.state,
            ago(one.made_at) if one.made_at is not None else "",
            one.progress or (one.message if one.state != "ready" else None) or one.name,
        )
        for one in found
    ]
    emit(found, lambda: print_table(("IMAGE!", "STATE!", "MADE!", "NAME"), rows, empty="No images."))


def remove(
    workspace: WorkspaceArgument,
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="As the list has it.", show_default=False)],
) -> None:
    """Remove an image; cancel it while it is being made."""
    with connect() as client:
        client.images.remove(workspace, image)
    emit({"removed": image}, lambda: print(f"Removed {harmless(image)}."))


def _finish(client: Studiolo, workspace: str, asked: EnvironmentImage) -> EnvironmentImage:
    is_shown = sys.stderr.isatty()
    try:
        return client.images.wait(workspace, asked.id, tell=_show if is_shown else None)
    except KeyboardInterrupt:
        client.images.remove(workspace, asked.id)
        say("Cancelled; there is no image.")
        raise
    finally:
        if is_shown:
            sys.stderr.write("\r\x1b[K")


def _show(told: EnvironmentImage) -> None:
    sys.stderr.write(f"\r{harmless(told.progress or told.state)[:100]}\x1b[K")


def _print(done: EnvironmentImage) -> None:
    print(done.name)
    if done.state != "ready":
        say(f"It is being made; studiolo environment images shows how far it is. ({done.state})")
        return
    say(f"{done.message or 'It is there.'} Sessions run in it with --image {harmless(done.name)}")
    if done.left_out:
        more = len(done.left_out) - _NAMES_SHOWN
        names = ", ".join(map(harmless, done.left_out[:_NAMES_SHOWN])) + (f" and {more} more" if more > 0 else "")
        say(f"Not in it, since no index delivered it: {names}.")
