"""Generated pages are what the models say."""

import importlib.util
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[2]


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_settings_page_is_what_the_models_say() -> None:
    written = (ROOT / "docs" / "reference" / "settings.md").read_text()
    assert written == script("settings_reference").page(), "run .venv/bin/python scripts/settings_reference.py"


def test_errors_and_operations_are_what_the_contract_says() -> None:
    for path, text in script("errors_reference").pages().items():
        assert path.read_text() == text, "run .venv/bin/python scripts/errors_reference.py"
