"""Commands on kernels."""

import json
from typing import Annotated

import typer

from studiolo.cli.amounts import CPUOption, EngineOption, GPUOption, MemoryOption, ProfileOption, asked_for
from studiolo.cli.arguments import KernelArgument, WorkspaceArgument, complete_workspaces
from studiolo.cli.invocation import connect, current
from studiolo.cli.kernel_text import text_of_entry
from studiolo.cli.output import ago, emit, print_fields, say
from studiolo.cli.tables import print_table, wants_colour
from studiolo.contract.errors import Conflict, InvalidInput, NotFound
from studiolo.contract.kernels import KernelInfo, KernelOutput
from studiolo.sdk import Studiolo

_SHAPES = {"idle": "●", "busy": "●", "starting": "◐", "restarting": "◐", "dead": "✕", "ended": "○", "unknown": "?"}
_ID_LENGTH, _SHORT_ID = 36, 8


def list_(
    workspace: Annotated[
        str | None,
        typer.Argument(metavar="WORKSPACE", help="Only those of this workspace.", autocompletion=complete_workspaces),
    ] = None,
    session: Annotated[
        str | None, typer.Option("--session", metavar="SESSION", help="Only those of this session.")
    ] = None,
    everyone: Annotated[bool, typer.Option("--all", help="Those of others too.")] = False,
    ended: Annotated[bool, typer.Option("--ended", help="Those that have ended instead.")] = False,
) -> None:
    """List kernels: of sessions, and headless ones."""
    with connect() as client:
        found = list(
            client.kernels.list(
                workspace=workspace,
                session=session,
                states=("ended",) if ended else (),
                everyone=everyone,
                page_size=200,
            )
        )
    people = ["PERSON"] if everyone or workspace else []
    headers = ["ID!", "KERNEL", "WORKSPACE", "NOTEBOOK", *people, "ENGINE!", "STATE!", "CLIENTS!", "OUT!", "ACTIVE!"]
    rows = [
        [
            kernel.id[:_SHORT_ID],
            kernel.name,
            kernel.workspace.name,
            kernel.path or "-",
            *([kernel.person.name if kernel.person else "-"] if people else []),
            kernel.engine or "-",
            state_of(kernel),
            str(kernel.connections),
            str(kernel.output),
            ago(kernel.ended_at or kernel.last_active_at or kernel.started_at),
        ]
        for kernel in found
    ]
    empty = f"No kernels. Start one: {current().program} kernels start WORKSPACE"
    emit(found, lambda: print_table(headers, rows, empty=empty))


def start(
    workspace: WorkspaceArgument,
    name: Annotated[
        str | None, typer.Option("--kernel", "-k", metavar="NAME", help="Its kernelspec; `kernels specs` lists them.")
    ] = None,
    path: Annotated[
        str | None, typer.Option("--path", metavar="PATH", help="Folder or notebook it is for, in the workspace.")
    ] = None,
    env: Annotated[
        list[str] | None, typer.Option("--env", "-e", metavar="NAME=VALUE", help="A variable; repeat for several.")
    ] = None,
    engine: EngineOption = None,
    profile: ProfileOption = None,
    cpu: CPUOption = None,
    memory: MemoryOption = None,
    gpu: GPUOption = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print its bare id and nothing else.")] = False,
) -> None:
    """Start a headless kernel in a workspace: no JupyterLab, and it runs until it is stopped.

    It runs where the workspace does, or on another engine. While it waits there in a queue, ask again: its place is
    kept.

    \b
    Examples:
      studiolo kernels start churn
      studiolo kernels start churn --kernel python3 --memory 4g --env MODE=fast
      studiolo kernels start churn --engine slurm --gpu 1
    """
    with connect() as client:
        kernel = client.kernels.start(
            workspace,
            name=name,
            path=path,
            engine=engine,
            profile=profile,
            resources=asked_for(cpu=cpu, memory=memory, gpu=gpu),
            variables=read_variables(env or []),
        )

    def text() -> None:
        if quiet:
            print(kernel.id)
            return
        print_fields(
            (("Id", kernel.id), ("Kernel", kernel.display_name), ("Engine", kernel.engine), ("API", kernel.api_url))
        )
        say(f"Open a console on it: {current().program} kernels attach {kernel.id[:_SHORT_ID]}")

    emit(kernel, text)


def interrupt(kernel: KernelArgument) -> None:
    """Interrupt what a kernel runs; its variables stay."""
    with connect() as client:
        done = client.kernels.interrupt(find_kernel(client, kernel).id)
    emit(done, lambda: print(f"Interrupted {done.id}."))


def restart(kernel: KernelArgument) -> None:
    """Start a kernel anew under the same id; its variables are gone."""
    with connect() as client:
        done = client.kernels.restart(find_kernel(client, kernel).id)
    emit(done, lambda: print(f"Restarted {done.id}."))


def stop(kernel: KernelArgument) -> None:
    """Stop a kernel; its variables are gone, its output can still be read for a while."""
    with connect() as client:
        done = client.kernels.stop(find_kernel(client, kernel).id)
    emit(done, lambda: print(f"Stopped {done.id}."))


def logs(
    kernel: KernelArgument,
    lines: Annotated[
        int, typer.Option("--lines", "-n", metavar="NUMBER", min=1, max=2000, help="How many, from the end.")
    ] = 200,
) -> None:
    """Show the end of what a kernel's process itself wrote; `kernels output` shows what its cells did."""
    with connect() as client:
        log = client.kernels.log(find_kernel(client, kernel).id, lines=lines)
    emit(log, lambda: print("\n".join(log.lines)) if log.lines else say("It wrote nothing."))


def output(
    kernel: KernelArgument,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes, until it ends.")] = False,
    after: Annotated[
        int, typer.Option("--after", metavar="NUMBER", min=0, help="Leave out what has this number or a lower one.")
    ] = 0,
) -> None:
    """Show what a kernel has put out, also while nobody was connected.

    With --json and --follow each entry is a line.

    \b
    Examples:
      studiolo kernels output 0b9e2c34
      studiolo kernels output 0b9e2c34 --follow --after 1200
    """
    with connect() as client:
        found = find_kernel(client, kernel).id
        if follow:
            for entry in client.kernels.follow_output(found, after=after):
                shown = json.dumps(entry) + "\n" if current().json else text_of_entry(entry, colour=wants_colour())
                print(shown, end="", flush=True)
            return
        seen = _whole_output(client, found, after)
    emit(seen, lambda: _print_output(seen))


def specs(workspace: WorkspaceArgument) -> None:
    """List the kernels that a workspace offers."""
    with connect() as client:
        found = client.kernels.specs(workspace)
    rows = [
        (
            spec.name,
            spec.display_name,
            spec.language,
            (spec.environment or "-").removeprefix("sha256:")[:12],
            "default" if spec.is_default else "",
        )
        for spec in found
    ]
    headers = ("NAME!", "KERNEL", "LANGUAGE!", "ENVIRONMENT!", "")
    emit(found, lambda: print_table(headers, rows, empty="It offers none."))


def find_kernel(client: Studiolo, reference: str) -> KernelInfo:
    """Return the kernel of an id or of the beginning of one. Raises NotFound, Conflict (`kernel-ambiguous`)."""
    if len(reference) == _ID_LENGTH:
        return client.kernels.get(reference)
    fitting = [k for k in client.kernels.list(everyone=True, page_size=200) if k.id.startswith(reference)]
    fitting = fitting or [
        k for k in client.kernels.list(everyone=True, states=("ended",), page_size=200) if k.id.startswith(reference)
    ]
    if not fitting:
        raise NotFound(
            "kernel-not-found",
            f"There is no kernel {reference!r} that you can see.",
            hint=f"`{current().program} kernels list --all` shows them.",
        )
    if len(fitting) > 1:
        raise Conflict(
            "kernel-ambiguous",
            f"Several kernels begin with {reference!r}: {', '.join(k.id for k in fitting)}.",
            hint="Name more of its id.",
            candidates=[k.id for k in fitting],
        )
    return fitting[0]


def state_of(kernel: KernelInfo) -> str:
    """Return a kernel's state as shape and word."""
    return f"{_SHAPES.get(kernel.state, '?')} {kernel.state}"


def read_variables(given: list[str]) -> dict[str, str] | None:
    """Read NAME=VALUE options; None for none. Raises InvalidInput (`usage-invalid`)."""
    pairs = [one.partition("=") for one in given]
    if wrong := [name for name, mark, _ in pairs if not mark or not name]:
        raise InvalidInput("usage-invalid", f"--env {wrong[0]} has no value.", hint="Write it as NAME=VALUE.")
    return {name: value for name, _, value in pairs} or None


def _whole_output(client: Studiolo, kernel: str, after: int) -> KernelOutput:
    """Return all that there is now, in as many questions as it takes."""
    seen = client.kernels.output(kernel, after=after)
    entries = seen.entries
    while seen.more:
        seen = client.kernels.output(kernel, after=seen.next)
        entries = entries + seen.entries
    return seen.model_copy(update={"entries": entries})


def _print_output(seen: KernelOutput) -> None:
    shown = "".join(text_of_entry(entry, colour=wants_colour()) for entry in seen.entries)
    if shown:
        print(shown, end="" if shown.endswith("\n") else "\n")
    else:
        say("It has put out nothing yet.")
