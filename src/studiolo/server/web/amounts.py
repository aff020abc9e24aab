"""How amounts of processors and memory read on a page, and in a command. Pure functions."""

import shlex

from studiolo.contract.durations import describe_seconds, format_seconds
from studiolo.contract.resources import Resources
from studiolo.contract.sizes import describe_size, format_size

UNLIMITED = "no limits"


def describe(resources: Resources) -> str:
    """Return `4 CPU, 16 GiB`; nothing limited: `no limits`."""
    named = [
        f"{resources.cpu:g} CPU" if resources.cpu else "",
        describe_size(resources.memory) if resources.memory else "",
        (f"{resources.gpu} " + (resources.gpu_type or "GPU")) if resources.gpu else "",
        f"{describe_size(resources.disk)} disk" if resources.disk else "",
        f"at most {describe_seconds(resources.time_limit)}" if resources.time_limit else "",
    ]
    return ", ".join(filter(None, named)) or UNLIMITED


def processors(number: float) -> str:
    """Return `3.2 CPU`, below a tenth `0.05 CPU`."""
    return f"{number:.2f} CPU" if 0.005 <= number < 0.1 else f"{round(number, 1):g} CPU"


def hours(number: float) -> str:
    """Return `3.25`, below a tenth `0.012`, so that some seconds are not nothing."""
    return f"{number:.2f}" if number >= 0.1 or not number else f"{max(number, 0.001):.3f}"


def processors_of(used: float | None, limit: float | None) -> str:
    """Return `3.2 of 4 CPU`, without a limit `3.2 CPU`, not known a dash."""
    if used is None:
        return "\N{EN DASH}"
    return processors(used) if limit is None else f"{processors(used).removesuffix(' CPU')} of {limit:g} CPU"


def as_command(
    workspace: str, profile: str | None, own: Resources, name: str | None, *, engine: str | None = None
) -> str:
    """Return the command line that launches the same."""
    words = ["studiolo", "start", workspace]
    options = {
        "--name": name,
        "--profile": profile,
        "--cpu": f"{own.cpu:g}" if own.cpu else None,
        "--memory": format_size(own.memory) if own.memory else None,
        "--gpu": str(own.gpu) if own.gpu else None,
        "--image": own.image,
        "--time-limit": format_seconds(own.time_limit) if own.time_limit else None,
        "--engine": engine,
    }
    for option, value in options.items():
        words += [option, value] if value else []
    return shlex.join(words)


def as_python(
    workspace: str, profile: str | None, own: Resources, name: str | None, *, engine: str | None = None
) -> str:
    """Return the lines of Python that launch the same."""
    given = {
        **({"cpu": own.cpu} if own.cpu else {}),
        **({"memory": format_size(own.memory)} if own.memory else {}),
        **({"gpu": own.gpu} if own.gpu else {}),
        **({"image": own.image} if own.image else {}),
        **({"time_limit": format_seconds(own.time_limit)} if own.time_limit else {}),
    }
    options = {"name": name, "profile": profile, "resources": given, "engine": engine}
    listed = "".join(f", {option}={value!r}" for option, value in options.items() if value)
    return (
        "from studiolo.sdk import Studiolo\n\n"
        f"with Studiolo() as client:\n    session = client.sessions.launch({workspace!r}{listed}, wait_seconds=60)"
    )
