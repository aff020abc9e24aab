"""A kernel host with one kernel, as a process that tests kill: `python hosting.py FOLDER KERNEL_ID RUN_ID [fresh]`.

Prints the address of its websocket once it can be asked.
"""

import asyncio
import sys
from pathlib import Path

# Run by its path, not by the tests' runner.
sys.path.insert(0, str(Path(__file__).parent.parent))

from gateway.bridging import bridge_to
from studiolo.gateway.starting.launching import LocalLauncher, LocalProcess


async def host(folder: Path, kernel_id: str, *, fresh: bool) -> None:
    """Host a kernel that a LocalLauncher of `folder` started, until this process is killed."""
    process = await LocalLauncher(folder / "kernels", folder / "k").adopt(kernel_id)
    assert isinstance(process, LocalProcess), process
    async with bridge_to(process, folder, fresh=fresh, journal={"disk_bytes": 64 * 1024 * 1024}) as bridge:
        print(bridge.url, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(host(Path(sys.argv[1]), sys.argv[2], fresh=sys.argv[3:] == ["fresh"]))
