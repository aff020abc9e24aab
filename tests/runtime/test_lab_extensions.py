"""Our prebuilt plug-in is laid out as JupyterLab's loader wants it."""

import json
from pathlib import Path

import pytest
from jupyterlab_server.config import get_page_config

from studiolo.runtime.jupyter import LAB_EXTENSIONS


def test_jupyterlab_finds_the_plug_in_and_each_of_its_files() -> None:
    found = get_page_config([str(LAB_EXTENSIONS)])["federated_extensions"]
    assert [extension["name"] for extension in found] == ["studiolo"]
    folder = LAB_EXTENSIONS / "studiolo"
    entry = folder / found[0]["load"]
    assert "_JUPYTERLAB.studiolo" in entry.read_text()
    modules = {file.name for file in (folder / "static").glob("*.js")} - {entry.name}
    text = "".join(file.read_text() for file in (folder / "static").glob("*.js"))
    assert all(f'"{name}"' in text or f'"./{name}"' in text for name in modules), "each module is imported by another"


def test_a_person_can_switch_the_plug_in_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "labconfig").mkdir()
    off = {"disabledExtensions": {"studiolo:output": True}}
    (tmp_path / "labconfig" / "page_config.json").write_text(json.dumps(off))
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path))
    assert get_page_config([str(LAB_EXTENSIONS)])["disabledExtensions"] == ["studiolo:output"]
