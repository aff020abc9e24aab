"""The rule for names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studiolo.contract.errors import InvalidInput
from studiolo.contract.ids import IdKind, looks_like_id, new_id
from studiolo.contract.names import MAX_NAME_LENGTH, check_name, suggest_name


@pytest.mark.parametrize("name", ["../x", "x" * 300, "данные", "", "a b", "A", "-a", "a-", "a..b", "a/b", "a\n", ".."])
def test_names_that_are_no_good_are_refused_with_the_rule(name: str) -> None:
    with pytest.raises(InvalidInput, match="lower-case letters") as caught:
        check_name(name)
    assert caught.value.code == "name-invalid"


@pytest.mark.parametrize("name", ["new", "sessions", "w-0123456789abcdef"])
def test_reserved_words_and_ids_are_refused(name: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_name(name)
    assert caught.value.code == "name-reserved"


@pytest.mark.parametrize("name", ["my-workspace", "my-team-workspace", "a", "churn_2026.11", "workspace-name"])
def test_ordinary_names_are_accepted(name: str) -> None:
    assert check_name(name) == name


@given(st.text(max_size=400))
def test_a_suggestion_obeys_the_rule(text: str) -> None:
    suggestion = suggest_name(text)
    assert len(suggestion) <= MAX_NAME_LENGTH
    if suggestion:
        check_name(suggestion, what="session")


@pytest.mark.parametrize("kind", list(IdKind))
def test_ids_are_safe_as_host_names_and_known_by_kind(kind: IdKind) -> None:
    made = new_id(kind)
    assert looks_like_id(made, kind)
    assert made.replace("-", "").isalnum()
    assert made == made.lower()
