"""A person's own JupyterLab in a workspace: what they set and had open is there in their next session, for them alone."""

from pathlib import Path
from typing import Any

from studiolo.server.sessions.launch_spec import own_places
from studiolo.testing.fixtures import LocalBench

THEME = "lab/api/settings/@jupyterlab/apputils-extension:themes"
TABS = "lab/api/workspaces/default"


async def see(bench: LocalBench, folder: Path, *, put: dict[str, dict[str, Any]] | None = None) -> tuple[str, Any]:
    """Run a session of the person whose folder this is; return their own settings and what they had open."""
    handle = await bench.start_ready(variables=own_places(folder))
    async with bench.client(handle).http() as http:
        for address, body in (put or {}).items():
            assert (await http.put(address, json=body)).status_code == 204
        return (await http.get(THEME)).json()["raw"], (await http.get(TABS)).json()["data"]


async def test_settings_and_open_tabs_return_to_their_person_and_nobody_else(bench: LocalBench, tmp_path: Path) -> None:
    dark = '{"theme": "JupyterLab Dark"}'
    tabs = {"layout-restorer:data": {"main": {"current": "notebook:train.ipynb"}}}
    changes = {THEME: {"raw": dark}, TABS: {"data": tabs, "metadata": {"id": "default"}}}
    assert await see(bench, tmp_path / "ana", put=changes) == (dark, tabs)
    assert await see(bench, tmp_path / "ana") == (dark, tabs)
    assert await see(bench, tmp_path / "leo") == ("{}", {})
