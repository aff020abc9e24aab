"""What a session may use, decided purely."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studiolo.contract.errors import StudioloError
from studiolo.contract.resources import Capacity, Profile, Resources
from studiolo.server.engines.engines import Images
from studiolo.server.settings.resources import ResourceSettings
from studiolo.server.workspaces.allowance import decide_allowance, largest_allowed

GIB = 1024**3
MACHINE = Capacity(cpu=8, memory=32 * GIB, gpu=2)
NO_IMAGES = Images(False)


def decide(
    profile: str | None = None,
    own: Resources | None = None,
    settings: ResourceSettings | None = None,
    machine: Capacity = MACHINE,
    *,
    images: Images = NO_IMAGES,
    check_free: bool = True,
) -> Resources:
    return decide_allowance(
        profile=profile,
        own=own or Resources(),
        settings=settings or ResourceSettings(),
        machine=machine,
        images=images,
        check_free=check_free,
    )


def refusal(*args: object, **kwargs: object) -> StudioloError:
    with pytest.raises(StudioloError) as caught:
        decide(*args, **kwargs)  # type: ignore[arg-type]
    return caught.value


def test_nothing_named_means_no_limits() -> None:
    assert decide() == Resources()


def test_free_numbers_win_over_the_profile() -> None:
    assert decide("medium", Resources(memory=8 * GIB)) == Resources(cpu=2, memory=8 * GIB)


def test_the_default_profile_counts_where_none_is_named() -> None:
    settings = ResourceSettings(default_profile="small")
    assert decide(settings=settings) == Resources(cpu=1, memory=2 * GIB)
    assert decide("large", settings=settings).cpu == 4


def test_what_nobody_named_is_capped_by_the_largest() -> None:
    settings = ResourceSettings(largest=Resources(memory=4 * GIB))
    assert decide(settings=settings) == Resources(memory=4 * GIB)


def test_an_unknown_profile_lists_those_there_are() -> None:
    error = refusal("medum")
    assert error.code == "profile-unknown"
    assert error.hint is not None
    assert error.hint.startswith("Did you mean medium? Profiles: small (1 CPU, 2 GiB), ")


def test_only_profiles_refuses_free_numbers() -> None:
    settings = ResourceSettings(only_profiles=True)
    assert refusal("small", Resources(cpu=1), settings).code == "profiles-only"
    assert decide("small", settings=settings).cpu == 1


def test_more_than_the_largest_names_both() -> None:
    error = refusal(own=Resources(memory=16 * GIB), settings=ResourceSettings(largest=Resources(memory=8 * GIB)))
    assert error.code == "limit-exceeded"
    assert "16 GiB of memory; the largest that is allowed is 8 GiB of memory" in error.message


def test_more_than_the_machine_names_its_size_and_what_is_free() -> None:
    busy = Capacity(cpu=8, memory=32 * GIB, memory_claimed=120 * GIB)
    error = refusal(own=Resources(memory=64 * GIB), machine=busy)
    assert error.code == "capacity-exceeded"
    assert "64 GiB of memory; the machine has 32 GiB of memory, of which 8 GiB of memory" in error.message


def test_what_is_claimed_counts_only_at_a_launch() -> None:
    busy = Capacity(cpu=8, cpu_claimed=31, memory=32 * GIB)
    error = refusal(own=Resources(cpu=2), machine=busy)
    assert (error.code, "of which 1 processor can" in error.message) == ("capacity-exceeded", True)
    assert decide(own=Resources(cpu=2), machine=busy, check_free=False).cpu == 2


def test_gpus_are_promised_once() -> None:
    machine = Capacity(gpu=2, gpu_claimed=2)
    assert refusal(own=Resources(gpu=1), machine=machine).code == "capacity-exceeded"


@pytest.mark.parametrize("own", [Resources(gpu=1), Resources(gpu_type="nvidia-tesla-v100")])
def test_a_machine_without_gpus_says_so(own: Resources) -> None:
    assert refusal(own=own, machine=Capacity(gpu=0)).code == "gpu-not-available"
    assert decide(own=Resources(gpu=0), machine=Capacity(gpu=0)).gpu == 0


def test_an_image_needs_an_engine_that_runs_them() -> None:
    own = Resources(image="jupyter/scipy-notebook:latest")
    assert refusal(own=own).code == "image-not-supported"
    assert decide(own=own, images=Images(True)).image == own.image


_cpus = st.none() | st.floats(0.01, 64)
_bytes = st.none() | st.integers(1, 256 * GIB)
_amounts = st.builds(Resources, cpu=_cpus, memory=_bytes, gpu=st.none() | st.integers(0, 4))
_machines = st.builds(
    Capacity,
    cpu=st.none() | st.floats(1, 64),
    cpu_claimed=st.floats(0, 64),
    memory=st.none() | st.integers(GIB, 256 * GIB),
    memory_claimed=st.integers(0, 256 * GIB),
    gpu=st.none() | st.integers(0, 4),
)


@given(own=_amounts, of_profile=_amounts, largest=_amounts, machine=_machines, overcommit=st.floats(1, 8))
def test_what_is_granted_was_asked_for_and_fits(
    own: Resources, of_profile: Resources, largest: Resources, machine: Capacity, overcommit: float
) -> None:
    settings = ResourceSettings(
        profiles=[Profile(name="p", resources=of_profile)], largest=largest, overcommit=overcommit
    )
    try:
        granted = decide("p", own, settings, machine)
    except StudioloError:
        return
    asked, most = own.over(of_profile), largest_allowed(settings, machine)
    for what in ("cpu", "memory", "gpu"):
        amount, size = getattr(granted, what), getattr(machine, what)
        assert getattr(asked, what) in (None, amount)
        if amount is None:
            assert what == "gpu" or getattr(largest, what) is None
        elif getattr(most, what) is not None:
            assert amount <= getattr(most, what)
        if amount and size and what != "gpu":
            assert amount + getattr(machine, f"{what}_claimed") <= size * overcommit + 1e-6 * amount + 1e-6


@pytest.mark.parametrize(("what", "amount"), [("memory", 8), ("memory", 8 * 1024**2), ("disk", 20)])
def test_less_than_anything_works_with_is_refused(what: str, amount: int) -> None:
    error = refusal(own=Resources.model_validate({what: amount}))
    assert error.code == "limit-exceeded"
    assert f"of {what}; the least that works is" in error.message
    assert ("Did you mean" in str(error.hint)) is (amount < 1024)
