"""Kernels elsewhere for users of jupyter_client, where one would look for them; see `studiolo.sdk.kernels`."""

from studiolo.sdk.kernels import (
    BlockingWebsocketKernelClient,
    BlockingWebsocketKernelManager,
    WebsocketKernelClient,
    WebsocketKernelManager,
)

__all__ = [
    "BlockingWebsocketKernelClient",
    "BlockingWebsocketKernelManager",
    "WebsocketKernelClient",
    "WebsocketKernelManager",
]
