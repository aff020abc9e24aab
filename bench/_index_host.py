"""An index host alone on a port, for load that speaks no unix sockets: `_index_host.py PORT DATA INDEX BLOCKED`.

Prints the header that stands for a caller whose policy blocks one name, then serves until it is ended.
"""

import asyncio
import sys
from pathlib import Path

from aiohttp import web

from studiolo.packages.index.app import create_app
from studiolo.packages.index.callers import Caller, caller_header
from studiolo.packages.index.channels import Channels, make_channel
from studiolo.packages.index.serving import running_services
from studiolo.packages.policy.effective import Policy
from studiolo.packages.policy.rules import read_entry

SECRET = "benchmark"


async def main(port: int, data: Path, index: str, blocked: str) -> None:
    """Serve."""
    policy = Policy(channels=("defaults",), blocked=(read_entry(blocked, "the benchmark"),))

    async def control(request: web.Request) -> web.Response:
        is_policy = "/policies/" in request.path
        return web.json_response({"policy": policy.to_json()}) if is_policy else web.Response(status=204)

    plane = web.Application()
    plane.router.add_post("/{path:.*}", control)
    runner = web.AppRunner(plane)
    await runner.setup()
    data.mkdir()
    await web.UnixSite(runner, str(data / "control.sock")).start()
    channels = Channels((make_channel("defaults", index),))
    async with running_services(data / "control.sock", data, SECRET, channels, fresh_seconds=3600) as services:
        host = web.AppRunner(create_app(services), access_log=None)
        await host.setup()
        await web.TCPSite(host, "127.0.0.1", port).start()
        print(caller_header(Caller("w-0", "bench", policy.hash, "", "", "client")), flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4]))
