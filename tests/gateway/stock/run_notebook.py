"""Executes a notebook by nbclient on a kernel behind a gateway: `python run_notebook.py` with JUPYTER_GATEWAY_*."""

import nbformat
from jupyter_server.gateway.gateway_client import GatewayClient
from jupyter_server.gateway.managers import GatewayKernelManager
from nbclient import NotebookClient

GatewayClient.instance()
notebook = nbformat.v4.new_notebook(
    cells=[nbformat.v4.new_code_cell("x = 6"), nbformat.v4.new_code_cell("print(x * 7)")]
)
NotebookClient(notebook, timeout=60, kernel_name="python3", kernel_manager_class=GatewayKernelManager).execute()
print(notebook.cells[1].outputs[0]["text"])
