"""wrk, the load generator."""

import re
import shutil
import subprocess
from collections.abc import Mapping

_CONNECTIONS = 32


def requests_per_second(url: str, headers: Mapping[str, str], seconds: float, *, may_refuse: bool = False) -> float:
    """Load `url` for some seconds over 32 kept connections.

    Ends the benchmark if a reply was no success; with `may_refuse` that is what is measured.
    """
    if shutil.which("wrk") is None:
        raise SystemExit("error: wrk is missing, which makes the load.\n\nhint: apt install wrk")
    sent = [word for name, value in headers.items() for word in ("-H", f"{name}: {value}")]
    argv = ["wrk", "-t1", f"-c{_CONNECTIONS}", f"-d{seconds:g}s", "--timeout", "10s", *sent, url]
    said = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=seconds + 60).stdout
    if ("Non-2xx" in said) is not may_refuse or "Socket errors" in said:
        raise SystemExit(f"error: not every request was answered well.\n\n{said}")
    found = re.search(r"Requests/sec:\s*([\d.]+)", said)
    if found is None:
        raise SystemExit(f"error: wrk said nothing of use.\n\n{said}")
    return float(found[1])
