"""Kernels of a whole platform, through its front door, authorised as everybody's are."""

import contextlib
from collections.abc import Iterator

from _kernel_service import KernelService
from _platform import Platform, studiolo

NAME = "Studiolo, front door"


@contextlib.contextmanager
def front_door() -> Iterator[tuple[KernelService, Platform]]:
    """Run a platform for the length of a block; its kernels belong to a workspace and are reached with a key."""
    with studiolo(spares=0) as platform:
        workspace = platform.make_workspace("benchmark")
        headers = {"Authorization": f"token {platform.key}"}
        host = platform.process_of("kernel-host")
        yield (
            KernelService(NAME, platform.client, headers, host, prefix=f"/w/{workspace}", host="localhost", body={}),
            platform,
        )
