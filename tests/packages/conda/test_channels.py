"""Where channels are, from settings and from conda's own configuration."""

from pathlib import Path

import pytest

from studiolo.packages.conda.channels import Channels


def _channels(tmp_path: Path, text: str = "", **named: str) -> Channels:
    condarc = tmp_path / "condarc"
    condarc.write_text(text)
    return Channels({name.replace("_", "-"): url for name, url in named.items()}, environment={"CONDARC": str(condarc)})


@pytest.fixture(autouse=True)
def no_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))


def test_settings_come_before_what_conda_is_configured_with(tmp_path: Path) -> None:
    channels = _channels(tmp_path, "channel_alias: https://alias.test\n", conda_forge="https://mirror.test/forge/")

    assert channels.find_address("conda-forge") == "https://mirror.test/forge"
    assert channels.find_address("bioconda") == "https://alias.test/bioconda"


def test_custom_and_default_channels_are_where_the_configuration_says(tmp_path: Path) -> None:
    text = "custom_channels: {internal: https://inside.test/c}\ndefault_channels: [https://d.test/main, https://d.test/r]\n"
    channels = _channels(tmp_path, text)

    assert channels.find_address("internal") == "https://inside.test/c/internal"
    assert channels.find_address("defaults") == "https://d.test/main"
    assert channels.name_of("https://d.test/main/") == "defaults"


def test_a_variable_names_the_alias(tmp_path: Path) -> None:
    channels = Channels({}, environment={"CONDA_CHANNEL_ALIAS": "https://alias.test/"})

    assert channels.find_address("conda-forge") == "https://alias.test/conda-forge"


@pytest.mark.parametrize("text", ["[", "- a\n- b\n", "channel_alias: 3\n", "default_channels: [3]\n", "\x00"])
def test_a_configuration_that_cannot_be_read_says_nothing(tmp_path: Path, text: str) -> None:
    address = _channels(tmp_path, text).find_address("conda-forge")

    assert address is not None
    assert address.endswith("/conda-forge")


@pytest.mark.parametrize("name", ["", "..", "a/b", "https://elsewhere.test/c", "a b", "ä", "-x", "a" * 200])
def test_what_is_no_name_has_no_address(tmp_path: Path, name: str) -> None:
    assert _channels(tmp_path).find_address(name) is None
