"""Executes a notebook by papermill on a kernel behind a gateway: `python run_papermill.py FOLDER`."""

import sys
from pathlib import Path

import nbformat
import papermill
from jupyter_server.gateway.gateway_client import GatewayClient
from jupyter_server.gateway.managers import GatewayKernelManager

GatewayClient.instance()
folder = Path(sys.argv[1])
cells = [
    nbformat.v4.new_code_cell("x = 1", metadata={"tags": ["parameters"]}),
    nbformat.v4.new_code_cell("print(x * 7)"),
]
notebook = nbformat.v4.new_notebook(
    cells=cells, metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
)
nbformat.write(notebook, folder / "in.ipynb")
done = papermill.execute_notebook(
    folder / "in.ipynb",
    folder / "out.ipynb",
    parameters={"x": 6},
    kernel_manager_class=GatewayKernelManager,
    progress_bar=False,
)
print(done.cells[-1].outputs[0]["text"])
