"""What a launch on this machine sees in an enclosure of its own (decision 016, `runtime.enclosure`)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uv

from studiolo.engines import ground
from studiolo.engines.tools import offer_tools
from studiolo.runtime.enclosure import Enclosure

# Files and folders of the machine's that tools are told of by these.
_NAMED = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "STUDIOLO_CA_FILE")
# What is a headless kernel's alone.
_SECRETS = ("STUDIOLO_KEY_FILE", "NETRC")


@dataclass(frozen=True, slots=True)
class Enclosing:
    """Says what enclosures show. `run_dir`: the platform's folder of sockets; `address`: its own; `door`: the socket
    that leads there too; `shown`: what else of the machine is to be read in all of them.
    """

    data_dir: Path
    run_dir: Path
    address: str
    door: Path | None
    shown: tuple[Path, ...] = ()

    def of(
        self,
        *,
        folder: Path,
        environment: Path,
        variables: Mapping[str, str],
        home: Path,
        datasets: Iterable[Path] = (),
        writable: Iterable[Path] = (),
        memory: int | None = None,
    ) -> dict[str, Any]:
        """Return the members of the Enclosure of a launch. Reads links.

        `home`: the person's folder in the workspace; `datasets`: their folders; `writable`: what else it writes to;
        `memory`: its limit in bytes.
        """
        ours = environment.parent
        # Builds exchange environments: who looks through the folder above finds the one that is there now. Accounts
        # can pass it, and cannot list it.
        environments = ours if ours.is_relative_to(self.data_dir) else environment
        way_out = ground.find_way_out(self.address, self.door)
        named = [Path(variables[name]) for name in (*_NAMED, *_SECRETS) if variables.get(name)]
        readable = [
            *ground.find_runtime_folders(),
            *ground.find_interpreters(environment),
            *(Path(program).parent for program in (uv.find_uv_bin(),)),
            offer_tools(self.data_dir),
            self.data_dir / "datasets" / folder.name,
            *datasets,
            *(path for path in named if path.is_absolute()),
            *self.shown,
        ]
        own = [folder, environments, home, *writable]
        return Enclosure(
            readable=[str(path) for path in ground.without_nested(readable) if path not in own],
            writable=list(map(str, ground.without_nested(own))),
            hidden=sorted({str(path) for one in (self.data_dir, self.run_dir) for path in (one, one.resolve())}),
            door=str(way_out.socket) if way_out else "",
            port=way_out.port if way_out else 0,
            names=way_out.names if way_out else (),
            scratch_bytes=memory or 0,
        ).to_json()
