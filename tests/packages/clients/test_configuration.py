"""What each tool is told, read as the tools themselves read it."""

import configparser
import json
import subprocess
import sys
import tomllib
from netrc import netrc
from pathlib import Path

import pytest

from studiolo.packages.clients.configuration import Configuration, Index, Places, configure
from studiolo.packages.clients.netrc import entry
from studiolo.packages.clients.sources import chooses_source, past_proxies

CHANNELS = {"conda-forge": "https://channels.example/conda-forge", "internal": ""}


def _configure(folder: Path, **changes: object) -> Configuration:
    index = Index(**{"address": "http://127.0.0.1:8888", "channels": CHANNELS} | changes)  # type: ignore[arg-type]
    places = Places(folder / "environment", folder / "settings", folder / "cache")
    return configure(index, places, "session", "sts_key")


def _written(folder: Path, **changes: object) -> Configuration:
    found = _configure(folder, **changes)
    for path, content in found.files.items():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(content)
    return found


def test_no_address_and_no_file_but_netrc_holds_the_key(tmp_path: Path) -> None:
    found = _configure(tmp_path)
    assert "sts_key" not in "".join([*found.variables.values(), *found.files.values()])
    assert "sts_key" not in repr(found)
    assert "sts_key" in found.netrc


def test_netrc_is_read_for_the_host_alone(tmp_path: Path) -> None:
    file = tmp_path / "netrc"
    file.write_text(_configure(tmp_path).netrc)
    assert netrc(str(file)).hosts == {"127.0.0.1": ("session", "", "sts_key")}


@pytest.mark.parametrize("word", ["", "a b", "a\nmachine evil", "a#b", 'a"b'])
def test_a_netrc_entry_cannot_say_more_than_it_should(word: str) -> None:
    with pytest.raises(ValueError, match="netrc"):
        entry("127.0.0.1", "session", word)


def test_pip_itself_reads_one_index_and_forgets_the_machines_other_sources(tmp_path: Path) -> None:
    found = _written(tmp_path)
    machine = tmp_path / "machine.conf"
    machine.write_text("[global]\nfind-links = /elsewhere\nextra-index-url = https://elsewhere.example/simple\n")
    code = (
        "import sys; from pip._internal.configuration import Configuration as C, kinds\n"
        "import pip._internal.configuration as m; own = m.get_configuration_files\n"
        "m.get_configuration_files = lambda: {**own(), kinds.GLOBAL: [sys.argv[1]]}\n"
        "c = C(isolated=False); c.load(); print({k: v for k, v in c.items() if v})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, machine], env=dict(found.variables), capture_output=True, text=True, check=True
    )
    assert "http://127.0.0.1:8888/pypi/simple/" in done.stdout
    assert "elsewhere" not in done.stdout


def test_even_an_isolated_pip_finds_the_index_in_its_environments_file(tmp_path: Path) -> None:
    _written(tmp_path)
    parser = configparser.RawConfigParser()
    parser.read(tmp_path / "environment" / "pip.conf")
    assert parser["global"]["index-url"] == "http://127.0.0.1:8888/pypi/simple/"


def test_every_tool_has_our_index_in_a_variable(tmp_path: Path) -> None:
    variables = _configure(tmp_path).variables
    names = ("PIP_INDEX_URL", "UV_DEFAULT_INDEX", "PDM_PYPI_URL", "POETRY_PYPI_MIRROR_URL")
    assert {variables[name] for name in names} == {"http://127.0.0.1:8888/pypi/simple/"}
    assert {"PIP_CACHE_DIR", "UV_CACHE_DIR", "CONDARC", "MAMBARC", "PIXI_HOME"} <= set(variables)


def test_conda_and_pixi_know_channels_by_our_addresses(tmp_path: Path) -> None:
    variables = _written(tmp_path).variables
    conda = json.loads(Path(variables["CONDARC"]).read_text().partition("\n")[2])
    assert conda["channel_alias"] == "http://127.0.0.1:8888/conda"
    assert conda["channels"] == [f"http://127.0.0.1:8888/conda/{name}" for name in CHANNELS]
    pixi = tomllib.loads((Path(variables["PIXI_HOME"]) / "config.toml").read_text())
    assert pixi["mirrors"] == {CHANNELS["conda-forge"]: ["http://127.0.0.1:8888/conda/conda-forge"]}
    assert pixi["pypi-config"]["index-url"] == "http://127.0.0.1:8888/pypi/simple/"


@pytest.mark.parametrize(
    ("address", "trusted"),
    [
        ("http://127.0.0.1:8888", None),
        ("http://localhost", None),
        ("https://studio.example", None),
        ("http://studio.example", "studio.example"),
    ],
)
def test_pip_is_told_to_trust_a_plain_host_of_the_network_only(
    tmp_path: Path, address: str, trusted: str | None
) -> None:
    assert _configure(tmp_path, address=address).variables.get("PIP_TRUSTED_HOST") == trusted


def test_a_local_authority_is_trusted_by_all_tools(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.pem"
    variables = _configure(tmp_path, address="https://localhost", certificates=bundle).variables
    assert {variables[n] for n in ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")} == {str(bundle)}


@pytest.mark.parametrize("name", ["PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "UV_INDEX", "UV_FIND_LINKS"])
def test_variables_that_name_other_sources_are_known(name: str) -> None:
    assert chooses_source(name)
    assert chooses_source("UV_INDEX_MINE_PASSWORD")
    assert not chooses_source("PIP_DEFAULT_TIMEOUT")


def test_what_passes_proxies_is_added_to() -> None:
    found = past_proxies({"http_proxy": "http://proxy", "no_proxy": "a.example"}, "http://127.0.0.1:1")
    assert found == dict.fromkeys(("NO_PROXY", "no_proxy"), "a.example,127.0.0.1")
    assert past_proxies({}, "http://127.0.0.1:1") == {}
