"""What a session may use: free numbers over profile over default, within the largest, the machine and what is free.

Pure. All amounts come in as plain values, so that launch, scale and create decide alike.
"""

import difflib
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from studiolo.contract.durations import describe_seconds
from studiolo.contract.errors import InvalidInput, LimitReached
from studiolo.contract.resources import Capacity, Profile, Resources
from studiolo.contract.sizes import describe_size
from studiolo.server.engines.engines import Images
from studiolo.server.settings.resources import ResourceSettings

_NOTHING = Resources()
# Below these nothing starts: somebody forgot the unit.
_LEAST = {"memory": 16 * 1024**2, "disk": 1024**2, "time_limit": 60}
_Number = TypeVar("_Number", int, float)


def decide_allowance(
    *,
    profile: str | None,
    own: Resources,
    settings: ResourceSettings,
    machine: Capacity,
    images: Images,
    check_free: bool,
) -> Resources:
    """Return what counts; a member that is None has no limit.

    `profile`: name, None for the default one. `own`: free numbers, those of a launch already over the workspace's.
    `images`: whether the engine runs container images, and which do. `check_free`: also compare with what others hold
    (a launch).
    Raises InvalidInput (`profile-unknown`, `profiles-only`, `image-not-supported`, `gpu-not-available`,
    `gpu-type-unknown`), LimitReached (`limit-exceeded`, also for less than anything works with; `capacity-exceeded`).
    """
    chosen = find_profile(profile or settings.default_profile, settings)
    if settings.only_profiles and own != _NOTHING:
        raise InvalidInput(
            "profiles-only",
            "Free numbers are not accepted on this platform; choose a profile.",
            hint=_describe_profiles(settings),
        )
    asked = own.over(chosen.resources if chosen else _NOTHING)
    if asked.gpu_type and asked.gpu is None:
        # Who names a type wants one of it.
        asked = asked.model_copy(update={"gpu": 1})
    _check_image(asked, images)
    _check_gpu(asked, settings, machine)
    _check_least(asked)
    _check_largest(asked, settings)
    allowed = asked.over(_cap_of_open(settings, machine))
    _check_machine(allowed, settings, machine, check_free=check_free)
    return allowed


def find_profile(name: str | None, settings: ResourceSettings) -> Profile | None:
    """Return the profile; None for no name. Raises InvalidInput (`profile-unknown`) that lists those there are."""
    if not name:
        return None
    for profile in settings.profiles:
        if profile.name == name:
            return profile
    near = difflib.get_close_matches(name, [profile.name for profile in settings.profiles], n=1, cutoff=0.6)
    meant = f"Did you mean {near[0]}? " if near else ""
    raise InvalidInput(
        "profile-unknown",
        f"There is no profile {name[:63]!r}.",
        hint=meant + _describe_profiles(settings),
        candidates=[profile.name for profile in settings.profiles],
    )


def foresee_resources(profile: str | None, own: Mapping[str, Any] | None, settings: ResourceSettings) -> Resources:
    """Return what would count without asking a machine; a profile that is gone gives nothing. For lists: never raises.

    `own`: free numbers as a row keeps them.
    """
    name = profile or settings.default_profile
    chosen = next((one.resources for one in settings.profiles if one.name == name), _NOTHING) if name else _NOTHING
    return Resources.model_validate(own).over(chosen) if own and not settings.only_profiles else chosen


def largest_allowed(settings: ResourceSettings, machine: Capacity) -> Resources:
    """Return the largest that one session may ask for: the setting, and the machine's size where that is less."""
    largest = settings.largest
    return largest.model_copy(
        update={
            "cpu": _least(largest.cpu, machine.cpu),
            "memory": _least(largest.memory, machine.memory),
            "gpu": _least(largest.gpu, machine.gpu),
        }
    )


def _check_image(asked: Resources, images: Images) -> None:
    if asked.image is None or images.can:
        return
    able = ", ".join(images.engines)
    hint = (
        f"Engines that run images: {able}." if able else "Leave the image out; no engine of this platform runs images."
    )
    raise InvalidInput(
        "image-not-supported",
        f"The image {asked.image[:100]!r} cannot be used: sessions run as processes of this machine, not in containers."
        if not able
        else f"The image {asked.image[:100]!r} cannot be used: the engine of this session runs no images.",
        hint=f"{hint} Packages are installed into the workspace's own environment.",
        candidates=list(images.engines),
    )


def _check_gpu(asked: Resources, settings: ResourceSettings, machine: Capacity) -> None:
    if asked.gpu_type and settings.gpu_types and asked.gpu_type not in settings.gpu_types:
        known = ", ".join(f"{name} ({words})" if words else name for name, words in settings.gpu_types.items())
        raise InvalidInput(
            "gpu-type-unknown",
            f"There is no type of GPU {asked.gpu_type!r}.",
            hint=f"Types here: {known}.",
            candidates=list(settings.gpu_types),
        )
    if (asked.gpu or asked.gpu_type) and machine.gpu is not None and machine.gpu < 1:
        wanted = asked.gpu_type or ("1 GPU" if asked.gpu == 1 else f"{asked.gpu} GPUs")
        raise InvalidInput(
            "gpu-not-available",
            f"You asked for {wanted}, and the machine has none that could be found.",
            hint="Leave gpu out, or ask an administrator for a machine with GPUs.",
        )


def _check_least(asked: Resources) -> None:
    for what, least in _LEAST.items():
        amount = getattr(asked, what)
        if amount is not None and amount < least:
            raise LimitReached(
                "limit-exceeded",
                f"You asked for {_amount(what, amount)}; the least that works is {_amount(what, least)}.",
                hint=_forgotten_unit(what, amount),
            )


def _forgotten_unit(what: str, amount: int) -> str:
    if what == "time_limit":
        return "A number without a unit is seconds; write a time limit as 90m, 8h or 2d."
    meant = f"Did you mean {amount}g? " if amount < 1024 else ""
    return f"{meant}A number without a unit is bytes; write {what} as 512M, 8g or 16Gi."


def _check_largest(asked: Resources, settings: ResourceSettings) -> None:
    for what, amount, largest in _compared(asked, settings.largest):
        if amount > largest:
            raise LimitReached(
                "limit-exceeded",
                f"You asked for {_amount(what, amount)}; the largest that is allowed is {_amount(what, largest)}.",
                hint=f"Ask for less. {_describe_profiles(settings)}",
            )


def _check_machine(allowed: Resources, settings: ResourceSettings, machine: Capacity, *, check_free: bool) -> None:
    size = Resources(cpu=machine.cpu, memory=machine.memory, gpu=machine.gpu)
    for what, amount, largest in _compared(allowed, size):
        free = _free(what, settings, machine)
        if amount > largest or (check_free and amount > free):
            later = "" if amount > largest else " Or stop a session, or try again when somebody has."
            now = f", of which {_amount(what, free)} can be promised now" if check_free else ""
            raise LimitReached(
                "capacity-exceeded",
                f"You asked for {_amount(what, amount)}; the machine has {_amount(what, largest)}{now}.",
                hint=f"Ask for less.{later} {_describe_profiles(settings)}",
            )


def _cap_of_open(settings: ResourceSettings, machine: Capacity) -> Resources:
    """Return what holds for members that nobody named: the platform's largest, which they would pass otherwise."""
    largest = settings.largest
    return Resources(
        cpu=_least(largest.cpu, machine.cpu) if largest.cpu else None,
        memory=_least(largest.memory, machine.memory) if largest.memory else None,
        disk=largest.disk,
        time_limit=largest.time_limit,
    )


def _compared(asked: Resources, largest: Resources) -> Iterator[tuple[str, float, float]]:
    for what in ("cpu", "memory", "gpu", "disk", "time_limit"):
        amount, most = getattr(asked, what), getattr(largest, what)
        if amount is not None and most is not None:
            yield what, amount, most


def _free(what: str, settings: ResourceSettings, machine: Capacity) -> float:
    size, claimed = float(getattr(machine, what)), float(getattr(machine, f"{what}_claimed"))
    # A GPU cannot be promised twice.
    times = 1.0 if what == "gpu" else settings.overcommit
    # One session never gets more than the machine has, however often that is promised.
    return min(size, max(0.0, size * times - claimed))


def _amount(what: str, amount: float) -> str:
    if what == "time_limit":
        return f"a time limit of {describe_seconds(amount)}"
    if what in ("memory", "disk"):
        return f"{describe_size(amount)} of {what}"
    unit = {"cpu": "processor", "gpu": "GPU"}[what]
    return f"{amount:g} {unit}{'' if amount == 1 else 's'}"


def _describe_profiles(settings: ResourceSettings) -> str:
    if not settings.profiles:
        return "No profiles are defined."
    return f"Profiles: {', '.join(_describe(profile) for profile in settings.profiles)}."


def _describe(profile: Profile) -> str:
    amounts = profile.resources
    named = [
        f"{amounts.cpu:g} CPU" if amounts.cpu else "",
        describe_size(amounts.memory) if amounts.memory else "",
        f"{amounts.gpu} GPU" if amounts.gpu else "",
    ]
    inner = ", ".join(filter(None, named))
    return f"{profile.name} ({inner})" if inner else profile.name


def _least(one: _Number | None, other: _Number | None) -> _Number | None:
    known = [value for value in (one, other) if value is not None]
    return min(known) if known else None
