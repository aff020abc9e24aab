"""JupyterLab as it comes, with the settings that a session needs."""

import os
import secrets
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jupyter_server.serverapp import ServerApp
from jupyterlab import commands
from jupyterlab.commands import get_user_settings_dir, get_workspaces_dir
from jupyterlab.labapp import LabApp
from tornado.web import RequestHandler
from traitlets.config import Config

from studiolo.runtime import activity
from studiolo.runtime.contents import WorkspaceContents
from studiolo.runtime.execute import serve_commands
from studiolo.runtime.here import serve_here
from studiolo.runtime.identity import FrontDoorIdentity, guard
from studiolo.runtime.kernels import (
    PromptChannels,
    WorkspaceKernel,
    WorkspaceKernels,
    WorkspaceKernelSpecs,
    choose_transport,
    write_kernelspec,
)
from studiolo.runtime.launch import LaunchRequest
from studiolo.runtime.preload import server_extensions
from studiolo.runtime.request_log import log_request
from studiolo.runtime.shortcuts import Shortcuts
from studiolo.runtime.terminals import WorkspaceTerminals, shell_command

# Prebuilt plug-ins of ours for a JupyterLab as it comes.
LAB_EXTENSIONS = Path(__file__).parent / "labextensions"

_UNUSED_PLUGINS = ("@jupyterlab/apputils-extension:announcements", "nbdime-jupyterlab")
# As shells tell of programs that a signal has ended.
_ENDED_BY_SIGNAL = 128


def run_lab(request: LaunchRequest, tell_ready: Callable[[int], None], listener: socket.socket | None = None) -> None:
    """Serve JupyterLab where the request says until told to stop; `tell_ready` gets the port (0: unix socket) then.

    `listener`: its socket, where that was bound before, by somebody with more rights. The process's environment must be
    the request's already. Ends by returning or by SystemExit.
    """
    write_kernelspec(request.kernelspec_folders[0], Path(request.environment))
    _write_key(request)
    if folder := request.variables.get("IPYTHONDIR"):
        # Where the folder above it is missing, IPython keeps its history in a temporary one and leaves that behind.
        Path(folder).mkdir(mode=0o700, parents=True, exist_ok=True)
    _build_nothing()
    server = ServerApp.instance(jpserver_extensions=dict.fromkeys(server_extensions(), True), config=settings(request))
    server.no_browser_open_file = True
    # There is none; to find that out takes a tenth of the start.
    server.parse_command_line = lambda argv=None: None  # type: ignore[method-assign]
    if listener is not None:
        server._bind_http_server = lambda: server.http_server.add_socket(listener)  # type: ignore[method-assign]
    signals = _note_signals(server)
    # What LabApp.initialize_server does, less the search for extensions.
    server.initialize(argv=[], starter_extension=LabApp.name, find_extensions=False)
    serve_commands(server, Path(request.folder))
    serve_here(server, request)
    # An account binds no socket where the front door goes by names.
    private = None if request.account else Path(request.run_folder)
    shortcuts = Shortcuts(private, lambda listener: server.http_server.add_socket(listener))
    guard(server.web_app, request.secret, request.base_url, shortcuts)
    activity.start(server, request)

    def after_binding() -> None:
        # Binding may have failed in a callback of its own, which only logs it.
        if not server.http_server._sockets:
            raise SystemExit(1)
        tell_ready(server.port if request.listen else 0)

    # Callbacks run in the order they were added: the one that binds the socket was added by initialize().
    server.io_loop.add_callback(after_binding)
    server.start()
    if signals:
        raise SystemExit(_ENDED_BY_SIGNAL + signals[0])


def _build_nothing() -> None:
    """Have JupyterLab not run Node, where there is one, for the registry that its builds would take packages from."""
    commands._yarn_config = lambda logger: {"yarn config": {}, "npm config": {}}


def _note_signals(server: ServerApp) -> list[int]:
    """Return a list that gets the signals which end the server: by them a kill is told from a person's wish."""
    signals: list[int] = []
    stop = server._signal_stop

    def note(number: int, frame: object) -> None:
        signals.append(number)
        stop(number, frame)

    server._signal_stop = note  # type: ignore[method-assign, assignment]
    return signals


def settings(request: LaunchRequest) -> Config:
    """Return the settings of a session's server. The launch's secret is not among them: extensions may print them."""
    config = Config()
    config.ServerApp.update(
        **_binding(request),
        base_url=request.base_url,
        root_dir=request.folder,
        open_browser=False,
        quit_button=False,
        allow_root=True,
        # The front door decides which hosts are ours, and passes on what browsers sent.
        allow_remote_access=True,
        trust_xheaders=True,
        identity_provider_class=FrontDoorIdentity,
        contents_manager_class=WorkspaceContents,
        kernel_manager_class=WorkspaceKernels,
        kernel_spec_manager_class=WorkspaceKernelSpecs,
        kernel_websocket_connection_class=PromptChannels,
        # Nobody signs in by a cookie of Jupyter's; given here, it is not kept in a file.
        cookie_secret=secrets.token_bytes(32),
        terminals_enabled=True,
        tornado_settings={"page_config_hook": _without_unused, "log_function": log_request},
        terminado_settings={"shell_command": shell_command(request.files.own, Path(request.environment))},
    )
    config.ContentsManager.preferred_dir = str(_start_folder(request))
    config.IdentityProvider.token = ""
    # Named, not imported: it is loaded when somebody converts a notebook.
    config.Exporter.preprocessors = ["studiolo.runtime.raw_cells.RawCellFormat"]
    config.LabApp.update(
        # Asked for now: the defaults were made when the module was imported, with another environment.
        user_settings_dir=get_user_settings_dir(),
        workspaces_dir=get_workspaces_dir(),
        # Ours, and those that come with what people install (ipywidgets, say): they work without a rebuild.
        extra_labextensions_path=[str(LAB_EXTENSIONS), str(Path(request.environment) / "share/jupyter/labextensions")],
        # Installing server extensions would change the platform's own environment.
        extension_manager="readonly",
        news_url=None,
        check_for_updates_class="jupyterlab.handlers.announcements.NeverCheckForUpdate",
    )
    config.WorkspaceKernelSpecs.update(
        ensure_native_kernel=False,
        folders=[str(folder) for folder in request.kernelspec_folders],
    )
    config.AsyncMappingKernelManager.kernel_manager_class = WorkspaceKernel.__module__ + "." + WorkspaceKernel.__name__
    # What a person switches off is off for them, not for all who share the platform's own environment.
    config.PluginManager.level = "user"
    # It would look for dozens of language servers, and for Node, at each start.
    config.LanguageServerManager.autodetect = False
    config.TerminalsExtensionApp.terminal_manager_class = WorkspaceTerminals
    config.KernelManager.transport = choose_transport(request.own_folder)
    return config


def _binding(request: LaunchRequest) -> dict[str, Any]:
    if not request.listen:
        return {"sock": request.socket, "sock_mode": "0600"}
    return {"ip": request.host, "port": request.port, "port_retries": 0}


def _without_unused(handler: RequestHandler, page_config: dict[str, Any]) -> dict[str, Any]:
    """Leave out plug-ins: one asks each new person whether to fetch news, one needs a server extension left out."""
    disabled = {*page_config.get("disabledExtensions", []), *_UNUSED_PLUGINS}
    return page_config | {"disabledExtensions": sorted(disabled)}


def _start_folder(request: LaunchRequest) -> Path:
    wanted = Path(request.folder) / request.start_folder
    return wanted if wanted.is_dir() else Path(request.folder)


def _write_key(request: LaunchRequest) -> None:
    if request.api_key:
        descriptor = os.open(request.key_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(request.api_key)
