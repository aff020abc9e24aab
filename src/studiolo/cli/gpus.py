"""Commands on GPUs that the platform hands out: who has them, and being told when some are free."""

from typing import Annotated

import typer

from studiolo.cli.invocation import connect
from studiolo.cli.output import ago, emit, say
from studiolo.cli.tables import print_table
from studiolo.contract.gpus import GPUHolder, GPUState, GPUWait
from studiolo.contract.sizes import describe_size

CountOption = Annotated[int, typer.Option("--count", metavar="NUMBER", min=1, max=64, help="How many.")]
TypeOption = Annotated[str | None, typer.Option("--type", metavar="TYPE", help="Of this type alone.")]
EngineOption = Annotated[
    str | None, typer.Option("--engine", metavar="NAME", help="Where; left out, the first engine that has GPUs.")
]


def list_() -> None:
    """List GPUs: memory, utilisation, who has each since when."""
    with connect() as client:
        found = client.gpus.get()
    rows = [
        (one.engine, one.type, _memory(one), _percent(one.utilisation), _holder(one.holder), one.id)
        for one in found.gpus
    ]

    def text() -> None:
        headers = ("ENGINE!", "TYPE!", "MEMORY USED!", "BUSY!", "HELD BY", "GPU!")
        print_table(headers, rows, empty="No engine here has GPUs that the platform hands out one by one.")
        if found.waiting:
            say(_waiting(found.waiting))

    emit(found, text)


def notify(count: CountOption = 1, type_: TypeOption = None, engine: EngineOption = None) -> None:
    """Be told once, when as many GPUs are free.

    \b
    Examples:
      studiolo gpus notify
      studiolo gpus notify --count 2 --type a100
    """
    with connect() as client:
        wait = client.gpus.notify(count, type=type_, engine=engine)
    emit(wait, lambda: print(_waiting(wait)))


def withdraw() -> None:
    """Wait for GPUs no more."""
    with connect() as client:
        client.gpus.withdraw()
    emit({"waiting": None}, lambda: print("You no longer wait for GPUs."))


def _memory(gpu: GPUState) -> str:
    parts = [describe_size(amount) for amount in (gpu.memory_used, gpu.memory) if amount is not None]
    return " of ".join(parts) if parts else "unknown"


def _percent(share: float | None) -> str:
    return "unknown" if share is None else f"{share:.0%}"


def _holder(holder: GPUHolder | None) -> str:
    if holder is None:
        return "free"
    where = f" in {holder.workspace.owner}/{holder.workspace.name}" if holder.workspace else ""
    return f"{holder.person.name}, {ago(holder.since)}{where}"


def _waiting(wait: GPUWait) -> str:
    what = f"{wait.count} GPU{'' if wait.count == 1 else 's'}" + (f" of the type {wait.type}" if wait.type else "")
    if wait.told_at is not None:
        return f"{what} on {wait.engine} may be free: you were told {ago(wait.told_at)}."
    return f"You are told when {what} on {wait.engine} {'is' if wait.count == 1 else 'are'} free."
