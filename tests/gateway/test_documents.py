"""Which notebook is joined to which kernel, over restarts."""

from dataclasses import replace
from pathlib import Path

import pytest

from studiolo.contract.errors import LimitReached, NotFound
from studiolo.gateway.documents import Document, Documents

NOTEBOOK = Document("d1", "a/n.ipynb", "n.ipynb", "notebook", "k1")


def test_what_was_joined_is_there_for_the_next_host(tmp_path: Path) -> None:
    Documents(tmp_path).put("s-1.2", NOTEBOOK)
    found = Documents(tmp_path)
    assert found.list("s-1.2") == [NOTEBOOK]
    assert found.find_path("s-1.2", "a/n.ipynb") == NOTEBOOK
    assert found.path_of("s-1.2", "k1") == "a/n.ipynb"


def test_another_scope_sees_nothing_of_it(tmp_path: Path) -> None:
    documents = Documents(tmp_path)
    documents.put("w-1", NOTEBOOK)
    assert documents.list("w-2") == []
    with pytest.raises(NotFound):
        documents.get("w-2", "d1")


def test_a_scope_without_documents_leaves_no_file(tmp_path: Path) -> None:
    documents = Documents(tmp_path)
    documents.put("w-1", NOTEBOOK)
    documents.put("w-1", replace(NOTEBOOK, id="d2", kernel_id="k2"))
    documents.forget_kernel("w-1", "k1")
    assert [one.id for one in documents.list("w-1")] == ["d2"]
    documents.remove("w-1", "d2")
    documents.remove("w-1", "d2")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", ["", "{", '[{"id": 1}]'])
def test_a_damaged_file_costs_only_itself(tmp_path: Path, content: str) -> None:
    (tmp_path / "w-1.json").write_text(content)
    documents = Documents(tmp_path)
    assert documents.list("w-1") == []
    documents.put("w-1", NOTEBOOK)
    assert Documents(tmp_path).list("w-1") == [NOTEBOOK]


def test_a_scope_has_a_thousand_at_most(tmp_path: Path) -> None:
    documents = Documents(tmp_path)
    documents._scopes["w-1"] = {str(n): replace(NOTEBOOK, id=str(n)) for n in range(1000)}
    with pytest.raises(LimitReached):
        documents.put("w-1", NOTEBOOK)


def test_no_scope_names_a_file_elsewhere(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no scope"):
        Documents(tmp_path / "in").put("../out", NOTEBOOK)
    assert [one.name for one in tmp_path.iterdir()] == ["in"]
