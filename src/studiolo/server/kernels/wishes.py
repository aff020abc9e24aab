"""What a client asks for by `KERNEL_*` variables: amounts, profile, engine, workspace; the rest goes to the kernel."""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from studiolo.contract.errors import InvalidInput
from studiolo.contract.kernels import KernelStart
from studiolo.contract.resources import Resources

# As the Jupyter Enterprise Gateway and the published API name them.
_AMOUNTS = {
    "KERNEL_CPU": "cpu",
    "KERNEL_CPUS": "cpu",
    "KERNEL_MEMORY": "memory",
    "KERNEL_GPU": "gpu",
    "KERNEL_GPUS": "gpu",
    "KERNEL_GPU_TYPE": "gpu_type",
    "KERNEL_DISK": "disk",
    "KERNEL_IMAGE": "image",
}
# They steer programs that come before the kernel's own code, or say who somebody is.
_REFUSED_PREFIXES = ("STUDIOLO_", "LD_", "PYTHON")
_REFUSED = frozenset({"PATH", "HOME", "VIRTUAL_ENV", "JUPYTER_RUNTIME_DIR", "KERNEL_USERNAME"})


@dataclass(frozen=True, slots=True)
class Wanted:
    """What `KERNEL_*` variables ask for. `variables`: what the kernel gets of them and of the others."""

    resources: Resources
    profile: str | None
    workspace: str | None
    engine: str | None
    variables: Mapping[str, str]


def read_wanted(given: Mapping[str, str]) -> Wanted:
    """Read the variables of a request. Raises InvalidInput (`request-invalid`) naming the variable at fault."""
    amounts: dict[str, str] = {}
    kept: dict[str, str] = {}
    for name, value in given.items():
        if name in _AMOUNTS:
            if value:
                amounts[_AMOUNTS[name]] = value
        elif name == "KERNEL_VOLUMES" and value not in ("", "[]"):
            raise InvalidInput(
                "request-invalid",
                "KERNEL_VOLUMES asks for volumes, and kernels have those of their workspace.",
                hint="Leave it out, and have an owner give the workspace its volumes: studiolo scale --volume.",
            )
        elif name not in _REFUSED and not name.startswith(_REFUSED_PREFIXES):
            kept[name] = value
    return Wanted(
        resources=_resources(amounts),
        profile=given.get("KERNEL_PROFILE") or None,
        workspace=given.get("KERNEL_WORKSPACE") or None,
        engine=given.get("KERNEL_ENGINE") or None,
        variables=kept,
    )


def as_variables(form: KernelStart) -> dict[str, str]:
    """Return the variables by which the host is asked for what a form says."""
    by_member = {member: name for name, member in reversed(_AMOUNTS.items())}
    asked = form.resources.model_dump(exclude_none=True)
    variables = form.variables | {by_member[member]: str(value) for member, value in asked.items()}
    places = {"KERNEL_PROFILE": form.profile, "KERNEL_ENGINE": form.engine}
    return variables | {name: value for name, value in places.items() if value}


def _resources(amounts: Mapping[str, str]) -> Resources:
    try:
        return Resources.model_validate(amounts)
    except ValidationError as exc:
        first = exc.errors()[0]
        member = str(first["loc"][0]) if first["loc"] else "resources"
        names = " or ".join(name for name, known in _AMOUNTS.items() if known == member)
        raise InvalidInput(
            "request-invalid",
            f"{names} is {amounts.get(member, '')[:40]!r}, which is no amount of {member}: {first['msg']}.",
            hint="Write processors as 2 or 0.5, memory as 512M or 8g.",
        ) from exc
