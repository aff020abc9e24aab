"""Kernels of a session: what its shim says about the session, and the plan that follows from it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from studiolo.contract.errors import Conflict, Unavailable
from studiolo.gateway.base import Caller, KernelPlan, Wish
from studiolo.gateway.folders import start_folder
from studiolo.gateway.offers.environments import with_environment
from studiolo.gateway.offers.specs import Spec, choose, list_specs
from studiolo.gateway.starting.plans import read_json
from studiolo.gateway.starting.variables import kernel_variables, session_name

NAME = "kernels.json"


@dataclass(frozen=True, slots=True)
class SessionLaunch:
    """One launch of a session as `RUN/s/<scope>/kernels.json` (0600) describes it. Paths are absolute.

    `kernelspecs`: folders of kernelspecs, the first that has a name wins. `group`: name of the session's control
    group. `register`: folder in which its kernels are noted. `limits`: {cpu, memory, processes}, None where there is
    none. `namespaces`: of its enclosure. Source: `runtime.registrations.write_grounds`.
    """

    folder: Path
    variables: Mapping[str, str] = field(repr=False)
    groups: Mapping[str, str]
    group: str
    marker: str
    kernelspecs: tuple[Path, ...]
    register: Path
    limits: Mapping[str, Any]
    namespaces: list[str] = field(default_factory=list)


def read_launch(run: Path, scope: str) -> SessionLaunch:
    """Read what a session's shim wrote. Raises Conflict (`session-not-running`) when there is nothing."""
    found = read_json(run / "s" / scope / NAME)
    try:
        return launch_of(found)
    except (KeyError, TypeError, AttributeError) as exc:
        raise Conflict(
            "session-not-running",
            "The session does not run, so no kernel can start in it.",
            hint="Start the session again.",
            detail=f"{scope}: {exc!r}",
        ) from exc


def session_plan(session: SessionLaunch, caller: Caller, wish: Wish, *, allowed: Collection[str] = ()) -> KernelPlan:
    """Return the plan of a kernel that lives in a session: its variables, its group, its end. Reads the disk.

    `allowed`: variables that the wish may set besides those named `KERNEL_…`.
    Raises NotFound (`kernelspec-not-found`), Unavailable (`environment-not-ready`) when its program is gone.
    """
    assert wish.kernel_id is not None
    spec = choose(session_specs(session), wish.spec_name)
    program = Path(spec.argv[0])
    if program.is_absolute() and not program.exists():
        raise Unavailable(
            "environment-not-ready",
            f"The kernel cannot be started: there is no {program}.",
            hint="If the workspace's environment has vanished, restart the session: it is made anew then.",
        )
    return KernelPlan(
        kernel_id=wish.kernel_id,
        scope=caller.scope,
        spec_name=spec.name,
        argv=spec.argv,
        environment=spec.environment,
        folder=start_folder(session.folder, wish),
        root=session.folder,
        variables=kernel_variables({**session.variables, **spec.variables}, wish, caller, allowed=allowed)
        | session_name(session.folder, wish),
        interrupt_mode=spec.interrupt_mode,
        language=spec.language,
        metadata={**spec.metadata, "display_name": spec.display_name},
        groups=session.groups,
        group=session.group,
        marker=session.marker,
        # The group holds them; without one each process is held, and what ran out is told with its size.
        memory_limit=session.limits.get("memory"),
        process_limit=session.limits.get("processes"),
        register=session.register / f"{wish.kernel_id}.json",
        path=wish.path,
        namespaces=session.namespaces,
    )


def session_specs(session: SessionLaunch) -> dict[str, Spec]:
    """Return the session's kernelspecs, which say their environment's hash and the session's size. Reads the disk."""
    resources = {name: session.limits.get(name) for name in ("cpu", "memory") if session.limits.get(name)}
    found = list_specs(session.kernelspecs)
    return {name: with_environment(spec, resources) for name, spec in found.items()}


def launch_of(found: Any) -> SessionLaunch:
    """Read what `runtime.registrations.describe_grounds` returned. Raises KeyError, TypeError, AttributeError."""
    return SessionLaunch(
        folder=Path(found["folder"]),
        variables={str(name): str(value) for name, value in found["variables"].items()},
        groups={str(name): str(value) for name, value in found["groups"].items()},
        group=str(found["group"]),
        marker=str(found["marker"]),
        kernelspecs=tuple(Path(folder) for folder in found["kernelspecs"]),
        register=Path(found["register"]),
        limits=dict(found["limits"]),
        # A session that runs since before an update has none.
        namespaces=[str(name) for name in found.get("namespaces", [])],
    )
