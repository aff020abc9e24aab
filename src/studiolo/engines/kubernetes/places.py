"""Where things are in a pod, and the launch request that says so."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path

from studiolo.engines.base import WorkloadSpec
from studiolo.engines.kubernetes.settings import KubernetesSettings
from studiolo.engines.launch_files import Places, make_request
from studiolo.runtime import rebuild
from studiolo.runtime.launch import LaunchFiles, LaunchRequest
from studiolo.runtime.recipes import Recipe

WORKSPACE = "/workspace"
DATASETS = "/datasets"
VOLUMES = "/volumes"
REQUEST = "/run/studiolo/request"
# In memory: the launch's files, keys and sockets.
STATE = "/run/studiolo/state"
_LIVE = f"{WORKSPACE}/{rebuild.FOLDER}/{rebuild.LIVE}"
_TOOLS = f"{WORKSPACE}/{rebuild.FOLDER}/{rebuild.TOOLS}"
# A person's own places lie beside the workspace's folder on the platform's machine; in a pod they are in its claim.
_OWN_PLACES = {
    "JUPYTER_CONFIG_DIR",
    "JUPYTER_DATA_DIR",
    "JUPYTERLAB_SETTINGS_DIR",
    "JUPYTERLAB_WORKSPACES_DIR",
    "IPYTHONDIR",
}
_JUPYTER = Path(WORKSPACE, ".studiolo", "jupyter")
_PLACES = Places(
    files=LaunchFiles(Path(STATE, "launch")),
    run_folder=Path(STATE, "run"),
    socket=Path(STATE, "run", "server.sock"),
    private_folder=_JUPYTER,
    tools=Path("/usr/local/bin"),
)


def request_in_pod(spec: WorkloadSpec, settings: KubernetesSettings, *, stop_grace: float) -> LaunchRequest:
    """Return the request of a launch in a pod; `stop_grace` in seconds."""
    recipe = recipe_of(spec, settings)
    environment = _LIVE if recipe else settings.environment
    moves = {str(spec.folder): WORKSPACE, str(spec.environment): environment}
    places = _PLACES
    if own := spec.variables.get("JUPYTER_CONFIG_DIR"):
        # PEOPLE/<person>/<workspace>/config: what is a person's own stays theirs where a claim is shared.
        moves[str(Path(own).parent)] = _TOOLS
        places = replace(_PLACES, private_folder=_JUPYTER / Path(own).parts[-3])
    there = replace(
        spec,
        folder=Path(WORKSPACE),
        environment=Path(environment),
        variables={
            "HOME": WORKSPACE,
            **{name: _move(value, moves) or value for name, value in spec.variables.items() if name not in _OWN_PLACES},
        },
        tool_files={moved: text for path, text in spec.tool_files.items() if (moved := _move(path, moves))},
    )
    request = make_request(
        there,
        places,
        grace=timedelta(seconds=stop_grace),
        machine={},
        listen=f"tcp://0.0.0.0:{settings.port}",
        log_to_stdout=True,
        host_port=settings.kernels_port,
    )
    if recipe is None:
        return request
    return replace(
        request,
        recipe=asdict(recipe),
        image_environment=settings.environment,
        environment_seconds=float(settings.environment_seconds),
    )


def recipe_of(spec: WorkloadSpec, settings: KubernetesSettings) -> Recipe | None:
    """Return what the pod makes its environment from; None where it is to have the image's."""
    return spec.recipe if settings.environment_seconds else None


def _move(path: str, moves: Mapping[str, str]) -> str | None:
    """Return where something of the platform's machine is in the pod, None if it is not there."""
    for here, there in moves.items():
        if path == here or path.startswith(f"{here}/"):
            return there + path.removeprefix(here)
    return None
