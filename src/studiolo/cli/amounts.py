"""What a session may use, as options and as words."""

from typing import Annotated, Any

import typer

from studiolo.contract.durations import describe_seconds
from studiolo.contract.resources import Resources, UsageSample
from studiolo.contract.sizes import describe_size


def complete_profiles(incomplete: str) -> list[str]:
    """Return profiles whose name begins so; nothing when the platform cannot be asked."""
    from studiolo.cli.invocation import connect
    from studiolo.contract.errors import StudioloError

    try:
        with connect() as client:
            return [p.name for p in client.platform.profiles().profiles if p.name.startswith(incomplete)]
    except StudioloError:
        return []


def complete_engines(incomplete: str) -> list[str]:
    """Return engines whose name begins so; nothing when the platform cannot be asked."""
    from studiolo.cli.invocation import connect
    from studiolo.contract.errors import StudioloError

    try:
        with connect() as client:
            return [one.name for one in client.platform.engines() if one.name.startswith(incomplete)]
    except StudioloError:
        return []


CPUOption = Annotated[float | None, typer.Option("--cpu", metavar="NUMBER", help="Processors, for example 4 or 0.5.")]
MemoryOption = Annotated[str | None, typer.Option("--memory", metavar="SIZE", help="For example 512M, 8g or 16Gi.")]
GPUOption = Annotated[int | None, typer.Option("--gpu", metavar="NUMBER", help="Number of GPUs.")]
GPUTypeOption = Annotated[
    str | None, typer.Option("--gpu-type", metavar="TYPE", help="Kind of GPU, for example nvidia-tesla-v100.")
]
DiskOption = Annotated[str | None, typer.Option("--disk", metavar="SIZE", help="Room for its files, for example 20g.")]
ImageOption = Annotated[
    str | None, typer.Option("--image", metavar="IMAGE", help="Container image, where the engine runs images.")
]
TimeLimitOption = Annotated[
    str | None, typer.Option("--time-limit", metavar="TIME", help="How long it may run, for example 90m or 8h.")
]
EngineOption = Annotated[
    str | None,
    typer.Option(
        "--engine", metavar="NAME", help="Where to run: studiolo engines lists them.", autocompletion=complete_engines
    ),
]
IsolationOption = Annotated[
    str | None,
    typer.Option("--min-isolation", metavar="LEVEL", help="L0 to L4: a launch that is kept apart by less is refused."),
]
VolumeOption = Annotated[
    list[str] | None,
    typer.Option("--volume", metavar="NAME", help="A volume to attach, again for each: studiolo volumes lists them."),
]
ProfileOption = Annotated[
    str | None,
    typer.Option(
        "--profile",
        metavar="NAME",
        help="A size that the administrators defined; numbers beside it win.",
        autocompletion=complete_profiles,
    ),
]


def asked_for(**given: Any) -> dict[str, Any] | None:
    """Return the resources that options name; None if none does."""
    return {name: value for name, value in given.items() if value is not None} or None


def describe(resources: Resources) -> str:
    """Return resources as a line: `4 CPU, 8 GiB memory, 1 GPU (nvidia-tesla-v100)`; empty for none."""
    kind = f" ({resources.gpu_type})" if resources.gpu_type else ""
    parts = (
        "" if resources.cpu is None else f"{resources.cpu:g} CPU",
        "" if resources.memory is None else f"{describe_size(resources.memory)} memory",
        f"{resources.gpu} GPU{kind}" if resources.gpu else "",
        "" if resources.disk is None else f"{describe_size(resources.disk)} disk",
        resources.image or "",
        "" if resources.time_limit is None else f"at most {describe_seconds(resources.time_limit)}",
    )
    return ", ".join(part for part in parts if part)


def cpu_of(usage: UsageSample | None, limits: Resources) -> str:
    """Return the processors in use, of how many: `1.3 of 4`."""
    if usage is None or usage.cpu is None:
        return "-"
    return f"{usage.cpu:.1f}" + (f" of {limits.cpu:g}" if limits.cpu else "")


def memory_of(usage: UsageSample | None, limits: Resources) -> str:
    """Return the memory in use, of how much: `2.1 of 8 GiB`."""
    if usage is None or usage.memory is None:
        return "-"
    if not limits.memory:
        return describe_size(usage.memory)
    used, limit = describe_size(usage.memory), describe_size(limits.memory)
    same = used.split()[-1] == limit.split()[-1]
    return f"{used.split()[0] if same else used} of {limit}"
