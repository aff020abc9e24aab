import importlib.util
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_settings_page_is_what_the_models_say() -> None:
    spec = importlib.util.spec_from_file_location("settings_reference", ROOT / "scripts" / "settings_reference.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    written = (ROOT / "docs" / "reference" / "settings.md").read_text()
    assert written == script.page(), "run .venv/bin/python scripts/settings_reference.py"
