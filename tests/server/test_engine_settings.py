"""Engines in the settings: found by their plug-ins, read by their own models, and refused in words."""

from pathlib import Path
from typing import Any

import pytest

from studiolo.contract.errors import InvalidInput
from studiolo.server.doctor.platform import check_engines
from studiolo.server.engines.parts import build_engines
from studiolo.server.settings import Settings, load_settings


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Settings from the text of a studiolo.toml."""

    def of(text: str, **environ: str) -> Settings:
        (tmp_path / "studiolo.toml").write_text(text)
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        return load_settings(data_dir=tmp_path)

    return of


def test_the_local_engine_is_there_without_a_word(read: Any) -> None:
    engines = build_engines(read(""))
    assert (list(engines), engines.default) == (["local"], "local")


def test_an_engine_is_there_when_it_has_a_table(read: Any) -> None:
    engines = build_engines(read('[engines]\ndefault = "slurm"\n[engines.slurm]\npartition = "cpu"\n'))
    assert (list(engines), engines.usable) == (["local", "slurm"], ["slurm", "local"])


def test_the_environment_adds_to_an_engines_table(read: Any) -> None:
    settings = read('[engines.slurm]\npartition = "cpu"\n', STUDIOLO_ENGINES__SLURM__ACCOUNT="lab")
    assert settings.engines.tables == {"slurm": {"partition": "cpu", "account": "lab"}}
    lists = read("", STUDIOLO_ENGINES__SLURM__PREFIX='["sudo", "-u", "lab"]')
    assert lists.engines.tables["slurm"]["prefix"] == ["sudo", "-u", "lab"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[engines.surm]\n", "'surm', which no installed package has"),
        ("[engines.slurm]\npartitoin = 'cpu'\n", "engines.slurm.partitoin"),
        ("[engines]\ndefault = 'slurm'\n", "engines.default is 'slurm'"),
        ("[engines.local]\nenabled = false\n", "no other engine is there"),
    ],
)
def test_what_is_wrong_is_said_in_one_message(read: Any, text: str, words: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        build_engines(read(text))
    assert refused.value.code == "settings-invalid"
    assert words in refused.value.message


def test_a_member_that_is_no_table_is_refused(read: Any) -> None:
    with pytest.raises(InvalidInput, match=r"slurm must be a table \[engines.slurm\]"):
        read("[engines]\nslurm = 3\n")


def test_the_local_engine_can_be_taken_from_people(read: Any) -> None:
    engines = build_engines(read("[engines.local]\nenabled = false\n[engines.slurm]\n"))
    assert (engines.usable, engines.default, engines.here) == (["slurm"], "slurm", "local")


def test_the_doctor_names_each_engine_and_what_is_wrong_with_it(read: Any) -> None:
    assert check_engines(read("")).status == "ok"
    found = check_engines(read('[engines.slurm]\nprefix = ["/nonexistent/ssh"]\n'))
    assert (found.status, "slurm" in found.finding) == ("warn", True)
    assert check_engines(read("[engines.surm]\n")).status == "fail"
