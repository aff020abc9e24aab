"""What images are built from, as plain data."""

import io
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from studiolo.engines.container import buildfile
from studiolo.engines.container.settings import BuildSettings
from studiolo.engines.images import ImageOrder

ORDER = ImageOrder("w-1", "churn", "ab" * 32, "3.11")


@pytest.mark.parametrize("workspace", ["a._b", "x" * 63, "Ünï", "...", "churn"])
def test_names_are_ones_that_registries_take_and_no_two_workspaces_share_one(workspace: str) -> None:
    name = buildfile.name_of("localhost/studiolo", replace(ORDER, workspace=workspace), "base")
    repository, _, tag = name.rpartition(":")
    assert all(part.isalnum() for part in repository.removeprefix("localhost/studiolo/").split("-"))
    assert tag == "abababababab"
    assert name != buildfile.name_of("localhost/studiolo", replace(ORDER, workspace_id="w-2"), "base")


def test_another_base_has_another_tag_and_the_usual_one_by_name_has_not() -> None:
    assert buildfile.tag_of(replace(ORDER, base="base"), "base") == buildfile.tag_of(ORDER, "base")
    assert buildfile.tag_of(replace(ORDER, base="other"), "base") != buildfile.tag_of(ORDER, "base")


def test_all_that_goes_in_is_in_the_key() -> None:
    keys = {
        buildfile.key_of(order, base)
        for order in (ORDER, replace(ORDER, lock="cd" * 32), replace(ORDER, python="3.12"))
        for base in ("one", "two")
    }
    assert len(keys) == 6


def test_the_bases_account_is_kept_and_one_that_is_none_is_refused() -> None:
    def written(account: str) -> list[str]:
        return buildfile.dockerfile("base", account, python="3.11", platform="here").splitlines()

    assert written("1000:1000")[-1] == "USER 1000:1000"
    assert sum(line.startswith("USER") for line in written("")) == 2
    assert any(line.startswith("COPY --from=made --chown=jovyan ") for line in written("jovyan"))
    with pytest.raises(ValueError, match="account"):
        written("1000\nRUN evil")


def test_a_context_holds_files_texts_and_programs(tmp_path: Path) -> None:
    files = tmp_path / "files"
    files.mkdir()
    (files / "a.whl").write_bytes(b"wheel")
    program = tmp_path / "tool"
    program.write_bytes(b"tool")
    target = tmp_path / "context.tar"
    buildfile.write_context(target, files, {"Dockerfile": "FROM base\n"}, {"uv": program})
    with tarfile.open(fileobj=io.BytesIO(target.read_bytes())) as archive:
        held = {one.name: (one.mode, archive.extractfile(one).read()) for one in archive}  # type: ignore[union-attr]
    assert held == {"Dockerfile": (0o644, b"FROM base\n"), "uv": (0o755, b"tool"), "a.whl": (0o644, b"wheel")}


def test_a_repository_is_a_registrys_if_it_names_a_host() -> None:
    assert BuildSettings().registry == ""
    assert BuildSettings(repository="registry.example.org/team").registry == "registry.example.org/team"
    assert BuildSettings(repository="localhost:5000/team").registry == "localhost:5000/team"
    with pytest.raises(ValidationError, match="belong together"):
        BuildSettings(username="somebody")
    with pytest.raises(ValidationError):
        BuildSettings(repository="Registry/../x")
