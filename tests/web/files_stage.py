"""A stage behind a real front door, with a real file host: what pages of files need. For tests and for looking.

`PYTHONPATH=tests python tests/web/files_stage.py 28123` keeps one running until Ctrl-C and prints the address.
"""

import sys
import tempfile
import threading
from pathlib import Path

import nbformat
import uvicorn

from studiolo.contract.models import MemberSet
from studiolo.contract.operations import Role
from studiolo.files.host.serving import serving as serving_files
from studiolo.kit.shared_secret import load_shared_secret
from studiolo.server.app import create_app
from supervisor.front_door import caddy
from web.stage import Stage


class FilesStage(Stage):
    """Ana owns `churn` with some files in it, Leo looks on; Caddy listens, the control plane is behind it."""

    def __init__(self, folder: Path, port: int | None = None) -> None:
        super().__init__(folder, port)
        self.settings.run_dir.mkdir(mode=0o700, exist_ok=True)  # type: ignore[union-attr]
        app = create_app(self.services)
        uds = str(self.settings.control_socket)
        self._server = uvicorn.Server(uvicorn.Config(app, uds=uds, log_level="error", timeout_graceful_shutdown=1))
        self.workspace = ""
        self.folder = Path()

    def __enter__(self) -> "FilesStage":
        self._thread.start()
        for _ in range(600):
            if self._server.started:
                break
            threading.Event().wait(0.05)
        self.do(self._start_others())
        self.do(self._fill())
        return self

    async def _start_others(self) -> None:
        settings = self.settings
        secret = load_shared_secret(settings.files_key_file)
        host = serving_files(settings.files_socket, settings.control_socket, settings.data_dir / "cache", secret)
        await self.stack.enter_async_context(host)
        await self.stack.enter_async_context(caddy(settings))

    async def _fill(self) -> None:
        ana = await self.add("ana", "Ana Ruiz")
        await self.add("leo", "Leo Brandt")
        self.workspace = await self.workspace_of(ana, "churn")
        await self.services.members.set_member(ana, self.workspace, MemberSet(person="leo", role=Role.VIEWER))
        self.folder = Path((await self.services.workspaces.get(ana, self.workspace)).path)
        fill(self.folder)

    # `workspace` is the id here.
    workspace_of = Stage.workspace


def fill(folder: Path) -> None:
    """Write sample files."""
    (folder / "data" / "raw data").mkdir(parents=True)
    (folder / "Überblick 数据").mkdir()
    (folder / "data" / "customers.csv").write_text("id,name,since,churned\n" + "7,Ana,2026-01-02,true\n" * 240)
    (folder / "data" / "notes & more.md").write_text("# Notes\n\nWhat we *know* of `churn`.\n\n- one\n- two\n")
    (folder / "train.py").write_text(
        '"""Train."""\n\nimport pandas as pd\n\n\ndef main() -> None:\n    pd.read_csv("x")\n'
    )
    table = "<table><tr><th>month</th><th>left</th></tr><tr><td>May</td><td>42</td></tr></table>"
    cells = [
        nbformat.v4.new_markdown_cell("# Survival\n\nWho leaves, and when: $S(t)$ by **plan**."),
        nbformat.v4.new_code_cell(
            "import pandas as pd\n\ncustomers = pd.read_csv('data/customers.csv')  # all of them\ncustomers.head()",
            execution_count=1,
            outputs=[nbformat.v4.new_output("execute_result", {"text/html": table}, execution_count=1)],
        ),
        nbformat.v4.new_code_cell(
            "1 / 0",
            execution_count=2,
            outputs=[
                nbformat.v4.new_output(
                    "error",
                    ename="ZeroDivisionError",
                    evalue="division by zero",
                    traceback=["\x1b[0;31mZeroDivisionError\x1b[0m: division by zero"],
                )
            ],
        ),
    ]
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    notebook = nbformat.v4.new_notebook(cells=cells, metadata=metadata)
    (folder / "survival by plan.ipynb").write_text(nbformat.writes(notebook))


if __name__ == "__main__":
    with (
        tempfile.TemporaryDirectory(prefix="st-", dir="/tmp") as made,
        FilesStage(Path(made), int(sys.argv[1])) as running,
    ):
        print(running.address, running.workspace, flush=True)
        threading.Event().wait()
