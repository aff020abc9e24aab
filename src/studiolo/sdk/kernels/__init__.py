"""Kernels elsewhere for users of jupyter_client: nbclient, papermill, consoles, notebook servers.

Needs `studiolo[kernels]`. The plain client (`studiolo.sdk`) lists, starts and stops kernels without it.
"""

from studiolo.sdk.kernels.client import BlockingWebsocketKernelClient, WebsocketKernelClient
from studiolo.sdk.kernels.manager import BlockingWebsocketKernelManager, WebsocketKernelManager

__all__ = [
    "BlockingWebsocketKernelClient",
    "BlockingWebsocketKernelManager",
    "WebsocketKernelClient",
    "WebsocketKernelManager",
]
