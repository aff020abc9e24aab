"""Doing before the fork what every JupyterLab start would do after it."""

import importlib
import importlib.util
import json
import sys
import warnings
from pathlib import Path

# Extensions that a session does without: they serve the classic notebook, and import IPython for it.
# The platform compares versions itself; nbdime's own extension would import git into each session.
UNUSED_EXTENSIONS = frozenset({"notebook_shim", "notebook", "nbclassic", "nbdime"})
_ALWAYS = ("jupyterlab", "jupyter_server_terminals")

# jsonschema builds a grammar of international URLs from the first, for a second and 16 MiB; no schema of Jupyter's
# uses the formats `iri` and `iri-reference`. The second is httpx's command line, with rich and click: 4 MiB.
_UNUSED_PARTS = ("rfc3987_syntax", "httpx._main")

# What JupyterLab imports only while it starts or answers its first requests.
_LATE_IMPORTS = (
    "jinja2.ext",
    "jupyter_client.provisioning.local_provisioner",
    "jupyter_core.migrate",
    "jupyter_server.kernelspecs.handlers",
    "jupyter_server.nbconvert.handlers",
    "jupyter_server.services.api.handlers",
    "jupyter_server.services.config.handlers",
    "jupyter_server.services.contents.handlers",
    "jupyter_server.services.events.handlers",
    "jupyter_server.services.kernels.handlers",
    "jupyter_server.services.kernelspecs.handlers",
    "jupyter_server.services.nbconvert.handlers",
    "jupyter_server.services.security.handlers",
    "jupyter_server.services.sessions.handlers",
    "jupyter_server.services.shutdown",
    "jupyter_server.view.handlers",
    "jupyterlab.labapp",
    "studiolo.runtime.session",
    "studiolo.runtime.jupyter",
    "studiolo.runtime.rehearsal",
    "tornado.platform.asyncio",
    "tornado.simple_httpclient",
    "zmq.eventloop.zmqstream",
)


def preload() -> None:
    """Import all that a session's server needs. Starts nothing."""
    leave_out_unused()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in _LATE_IMPORTS:
            importlib.import_module(name)
        for name in server_extensions():
            try:
                importlib.import_module(name)
            except Exception as exc:
                # Somebody else's code: sessions go without it, as a server of Jupyter's own would.
                print(f"cannot import the extension {name}: {exc!r}", file=sys.stderr, flush=True)


def leave_out_unused() -> None:
    """Pretend that optional parts which no session uses are not installed; to be called before Jupyter is imported."""
    for name in _UNUSED_PARTS:
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]


def server_extensions() -> list[str]:
    """Return the Jupyter server extensions of this environment that sessions load, in order of their names.

    Reads `etc/jupyter/jupyter_server_config.d` of the environment; what cannot be imported is left out.
    """
    enabled: dict[str, bool] = dict.fromkeys(_ALWAYS, True)
    for file in sorted((Path(sys.prefix) / "etc/jupyter/jupyter_server_config.d").glob("*.json")):
        try:
            enabled |= json.loads(file.read_bytes())["ServerApp"]["jpserver_extensions"]
        except (OSError, ValueError, KeyError, TypeError) as exc:
            print(f"ignoring {file}: {exc!r}", file=sys.stderr, flush=True)
    wanted = {name for name, on in enabled.items() if on} - UNUSED_EXTENSIONS
    return sorted(name for name in wanted if importlib.util.find_spec(name) is not None)
