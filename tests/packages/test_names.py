"""Names: canonical forms, and which ones can be mistaken."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.utils import canonicalize_name

from studiolo.packages.aliases import covered_by, same_as
from studiolo.packages.names import canonical, find_look_alike, is_one_slip_apart, key, skeleton

_names = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,12}[A-Za-z0-9])?", fullmatch=True)


@given(_names)
def test_a_name_of_pypi_is_what_packaging_makes_of_it_and_stays_so(name: str) -> None:
    assert canonical("pypi", name) == canonicalize_name(name)
    assert canonical("pypi", canonical("pypi", name)) == canonical("pypi", name)
    assert key(canonical("conda", name)) == canonical("pypi", name)


@pytest.mark.parametrize(
    "name", ["requ\u0435sts", "\uff4eumpy", "a b", "", "-x", "x/../y", "x\0", "a" * 201, "x @ y", "%75rllib3"]
)
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no name of a package"):
        canonical("pypi", name)


@given(_names)
def test_a_name_never_looks_like_itself(name: str) -> None:
    assert find_look_alike(name, (name, name.upper(), name.replace("-", "_"))) is None


@given(_names, st.integers(0, 13), st.sampled_from("abz"))
def test_one_sign_more_is_one_slip_apart_both_ways(name: str, at: int, sign: str) -> None:
    longer = name[:at] + sign + name[at:]
    assert is_one_slip_apart(name, longer)
    assert is_one_slip_apart(longer, name)
    assert not is_one_slip_apart(name, name)


@given(_names, _names)
def test_slips_are_mutual(one: str, other: str) -> None:
    assert is_one_slip_apart(one, other) == is_one_slip_apart(other, one)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("Urllib_3", "urllib3"),
        ("ur1lib3", "urllib3"),
        ("reqeusts", "requests"),
        ("request", "requests"),
        ("requestss", "requests"),
        ("rep-uests", None),
        ("sip", None),
        ("numpy", None),
    ],
)
def test_names_that_can_be_mistaken_are_found(name: str, meant: str | None) -> None:
    assert find_look_alike(name, ("requests", "urllib3", "six")) == meant


def test_skeletons_drop_what_a_hasty_eye_drops() -> None:
    assert skeleton("I0-lib") == skeleton("1olib")


def test_a_block_covers_all_names_and_a_permission_only_those_of_the_very_package() -> None:
    assert covered_by("pytorch") >= {"torch", "pytorch", "torch-nightly"}
    assert same_as("pytorch") == {"torch", "pytorch"}
    assert covered_by("tensorflow") >= {"tensorflow-cpu", "tf-nightly"}
    assert same_as("tensorflow") == {"tensorflow"}
    assert covered_by("sklearn") >= {"sklearn", "scikit-learn"}
