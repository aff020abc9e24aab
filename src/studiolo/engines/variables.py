"""The environment variables of a session: a few of the machine's, the session's own, and the workspace's."""

from collections.abc import Mapping
from pathlib import Path

from studiolo.engines.base import WorkloadSpec
from studiolo.packages.clients.sources import past_proxies, without_sources
from studiolo.runtime.launch import MARKER

# What programs need of the machine. All else of the platform's own environment stays out of sessions.
_PASSED_ON = {
    *(
        "HOME",
        "USER",
        "LOGNAME",
        "SHELL",
        "LANG",
        "LANGUAGE",
        "TZ",
        "TMPDIR",
        "XDG_RUNTIME_DIR",
        "LD_LIBRARY_PATH",
    ),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
    *("http_proxy", "https_proxy", "all_proxy", "no_proxy"),
    *("CUDA_VISIBLE_DEVICES", "CUDA_HOME", "NVIDIA_VISIBLE_DEVICES"),
}
_PASSED_ON_PREFIXES = ("LC_", "PIP_", "UV_")
_DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"


def session_variables(
    spec: WorkloadSpec, *, run_folder: Path, private_folder: Path, tools: Path, machine: Mapping[str, str]
) -> dict[str, str]:
    """Return all variables of the session `spec`; `machine` is the environment of the platform.

    `spec.variables` win over the machine's and over the default places of Jupyter's own files, which lie in
    `private_folder`; nothing wins over what makes the session this session.
    """
    own = {
        "JUPYTER_RUNTIME_DIR": str(run_folder),
        "STUDIOLO_SESSION": spec.workload_id,
        MARKER: f"{spec.workload_id}.{spec.launch}",
    }
    if spec.platform_url:
        own["STUDIOLO_URL"] = spec.platform_url
    if spec.api_key:
        own["STUDIOLO_KEY_FILE"] = str(run_folder / "key")
    if spec.netrc:
        own["NETRC"] = str(run_folder / "netrc")
    places = {
        "JUPYTER_CONFIG_DIR": str(private_folder / "config"),
        "JUPYTER_DATA_DIR": str(private_folder / "data"),
        "JUPYTERLAB_SETTINGS_DIR": str(private_folder / "lab" / "user-settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(private_folder / "lab" / "workspaces"),
        "IPYTHONDIR": str(private_folder / "ipython"),
    }
    given = places | dict(spec.variables)
    return workload_variables(spec.environment, given, own=own, tools=tools, machine=machine)


def workload_variables(
    environment: Path, given: Mapping[str, str], *, own: Mapping[str, str], tools: Path, machine: Mapping[str, str]
) -> dict[str, str]:
    """Return all variables of something that runs in `environment`; `own` wins over `given`, and that over the rest.

    `tools`: programs that are used where there are no others.
    """
    # Packages of the account's own home would shadow those of the workspace.
    rest = passed_on(machine) | {"PYTHONNOUSERSITE": "1"}
    variables = rest | dict(given) | {"VIRTUAL_ENV": str(environment)} | dict(own)
    path = given.get("PATH") or machine.get("PATH") or _DEFAULT_PATH
    index = past_proxies(variables, variables.get("STUDIOLO_INDEX", ""))
    return variables | index | {"PATH": f"{environment / 'bin'}:{path}:{tools}"}


def passed_on(machine: Mapping[str, str]) -> dict[str, str]:
    """Return what sessions may see of the environment that the platform was started in; where it has packages from
    is the index's to know."""
    known = {n: value for n, value in machine.items() if n in _PASSED_ON or n.startswith(_PASSED_ON_PREFIXES)}
    return without_sources(known)
