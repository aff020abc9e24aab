"""Commands for what the platform has and how it is: engines, health."""

import typer

from studiolo.cli.invocation import connect
from studiolo.cli.output import emit, print_fields, say
from studiolo.cli.tables import print_table
from studiolo.contract.errors import EXIT_CODE
from studiolo.contract.resources import Capacity
from studiolo.contract.sizes import describe_size


def engines() -> None:
    """List where sessions can run: isolation, what is claimed, where files lie, how limits are enforced."""
    with connect() as client:
        found = client.platform.engines()
    rows = [
        (
            f"{engine.name} (default)" if engine.default and len(found) > 1 else engine.name,
            engine.isolation,
            "ok" if engine.healthy else "failing",
            *_free(engine.capacity),
            engine.storage,
            "yes" if engine.images else "no",
            engine.message or " ".join(filter(None, (engine.remark, engine.enforcement.note))),
        )
        for engine in found
    ]
    told = ("ENGINE!", "ISOLATION!", "HEALTH!")
    headers = (*told, "CPU CLAIMED!", "MEMORY CLAIMED!", "GPUS!", "STORAGE!", "IMAGES!", "LIMITS")

    def text() -> None:
        print_table(headers, rows, empty="No engines.")
        for level, words in sorted({engine.isolation: engine.isolation_words for engine in found}.items()):
            say(f"{level}: {words}")

    emit(found, text)


def health() -> None:
    """Tell administrators whether all is well, and the one thing to do if not. Exits with 8 if not."""
    with connect() as client:
        found = client.platform.inspect()
    rows = [(part.name, "ok" if part.ok else "failing", part.message) for part in found.parts]

    def text() -> None:
        print_fields(
            (
                ("Verdict", found.verdict),
                ("People", str(found.people)),
                ("Workspaces", str(found.workspaces)),
                ("Sessions", f"{found.running_sessions} running, {found.idle_sessions} of them idle"),
                ("Disk", f"{describe_size(found.disk_free)} free of {describe_size(found.disk_total)}"),
            )
        )
        print()
        print_table(("PART!", "HEALTH!", "SAYS"), rows, empty="No parts.")

    emit(found, text)
    if not found.ok:
        raise typer.Exit(EXIT_CODE["unavailable"])


def _free(capacity: Capacity) -> tuple[str, str, str]:
    cpu = f"{capacity.cpu_claimed:g}" + ("" if capacity.cpu is None else f" of {capacity.cpu:g}")
    memory = describe_size(capacity.memory_claimed)
    memory += "" if capacity.memory is None else f" of {describe_size(capacity.memory)}"
    gpu = f"{capacity.gpu_claimed} of {capacity.gpu}" if capacity.gpu else "none" if capacity.gpu == 0 else "unknown"
    return cpu, memory, gpu
