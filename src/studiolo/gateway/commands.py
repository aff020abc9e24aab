"""`studiolo gateway` and `studiolo bridge`: kernels for any Jupyter client, in one process without a database."""

import asyncio
import json
import logging
import os
import tempfile
from pathlib import Path
from typing import Annotated
from urllib.parse import quote, unquote

import typer

from studiolo.contract.errors import InvalidInput
from studiolo.gateway.alone import Access, Alone, Place, default_data, default_roots, find_access, run_folder
from studiolo.gateway.base import Wish
from studiolo.gateway.bridge.audience import PING_SECONDS
from studiolo.gateway.bridged import read_connection
from studiolo.gateway.certificates import Certificate, certificate_of
from studiolo.gateway.hosted import Hosted
from studiolo.gateway.seeding import read_seed
from studiolo.gateway.settings import Cors, HostSettings
from studiolo.gateway.standalone import Rules

_PORT = 8889

Port = Annotated[int, typer.Option("--port", help="TCP port; 0: any free one.", min=0, max=65535)]
Address = Annotated[str, typer.Option("--host", help="Address to listen on; loopback unless given.")]
KeyFile = Annotated[
    Path | None,
    typer.Option("--api-key-file", help="Keys, one a line; after a space, who has it.", metavar="FILE"),
]
Open = Annotated[bool, typer.Option("--open", help="No key, for programs on this machine only.")]
CertFile = Annotated[
    Path | None,
    typer.Option("--certfile", help="Serve HTTPS with this certificate, PEM; read again when renewed.", metavar="FILE"),
]
PrivateKeyFile = Annotated[
    Path | None,
    typer.Option("--keyfile", help="The certificate's key; in its own file unless given.", metavar="FILE"),
]
Origins = Annotated[
    list[str] | None,
    typer.Option("--allow-origin", help="Another site whose pages may use a key here; may be repeated; `*`: all."),
]
AsJSON = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
Root = Annotated[Path | None, typer.Option("--root", help="Folder that notebooks' paths begin in.", metavar="FOLDER")]


def gateway(
    port: Port = _PORT,
    host: Address = "127.0.0.1",
    root: Root = None,
    kernel_roots: Annotated[
        list[Path] | None,
        typer.Option("--kernel-roots", help="Look for environments and kernels here.", metavar="FOLDER"),
    ] = None,
    api_key_file: KeyFile = None,
    open_: Open = False,
    certfile: CertFile = None,
    keyfile: PrivateKeyFile = None,
    allow_origin: Origins = None,
    allow_header: Annotated[
        list[str] | None, typer.Option("--allow-header", help="One more header that such pages may send.")
    ] = None,
    allow_method: Annotated[
        list[str] | None, typer.Option("--allow-method", help="A method that they may use; all unless given.")
    ] = None,
    allow_credentials: Annotated[
        bool, typer.Option("--allow-credentials", help="Their browsers may send cookies along; a key is needed still.")
    ] = False,
    expose_header: Annotated[
        list[str] | None, typer.Option("--expose-header", help="One more header of replies that they may read.")
    ] = None,
    max_age: Annotated[
        int, typer.Option("--max-age", help="How long their browsers remember this.", metavar="SECONDS", min=0)
    ] = 600,
    base_url: Annotated[str, typer.Option("--base-url", help="What stands before /api.")] = "/",
    default_kernel: Annotated[str, typer.Option("--default-kernel", help="Started when none is named.")] = "python3",
    force_kernel: Annotated[str | None, typer.Option("--force-kernel", help="Started whatever is named.")] = None,
    lists: Annotated[
        bool, typer.Option("--list/--no-list", help="Tell clients which kernels there are, or only those they know.")
    ] = True,
    max_kernels: Annotated[int | None, typer.Option("--max-kernels", help="Most kernels at once.", min=1)] = None,
    allow_env: Annotated[
        list[str] | None, typer.Option("--allow-env", help="A variable beside KERNEL_* that clients may set; `*`: all.")
    ] = None,
    inherit_env: Annotated[
        list[str] | None,
        typer.Option(
            "--inherit-env", help="Kernels get no more of this process's variables than these and PATH, HOME."
        ),
    ] = None,
    seed: Annotated[
        Path | None, typer.Option("--seed", help="Notebook that runs in each new kernel first.", metavar="FILE")
    ] = None,
    ping: Annotated[
        float, typer.Option("--ping", help="Between questions whether clients are there.", metavar="SECONDS", min=0.1)
    ] = PING_SECONDS,
    spares: Annotated[int, typer.Option("--spares", help="Kernels kept ready per environment.", min=0, max=50)] = 1,
    cull_idle: Annotated[
        float | None, typer.Option("--cull-idle", help="End kernels that nobody uses.", metavar="SECONDS", min=1)
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Let kernels run on when the gateway ends.")] = False,
    data_dir: Annotated[Path | None, typer.Option("--data-dir", help="Where output is kept.", metavar="FOLDER")] = None,
    as_json: AsJSON = False,
) -> None:
    """Serve kernels to any Jupyter client, by Jupyter's own REST and websocket API.

    Each key's holder sees the kernels that were started with it. Without --api-key-file the key is in the variable
    STUDIOLO_GATEWAY_KEY, or one is made and shown once. Of a request's `env`, KERNEL_* and --allow-env names
    reach the kernel.

    \b
    Examples:
      studiolo gateway
      studiolo gateway --root ~/notebooks --kernel-roots ~/envs --spares 2
      studiolo gateway --host 0.0.0.0 --certfile cert.pem --keyfile key.pem
      JUPYTER_GATEWAY_AUTH_TOKEN=KEY jupyter lab --gateway-url http://127.0.0.1:8889
    """
    data = _absolute(data_dir or default_data())
    place = Place(host, port, open_, api_key_file, _certificate(certfile, keyfile))
    access = find_access(place, data)
    prefix = _prefix(base_url)
    usual = Cors()
    headers, methods = (*usual.headers, *(allow_header or ())), tuple(allow_method or ()) or usual.methods
    exposed = (*usual.exposed, *(expose_header or ()))
    cors = Cors(tuple(allow_origin or ()), headers, methods, allow_credentials, exposed, max_age)
    rules = Rules(
        root=_folder(root or Path.cwd()),
        prefix=prefix,
        cors=cors,
        allowed_variables=frozenset(allow_env or ()),
        inherited_variables=None if inherit_env is None else frozenset(inherit_env),
        default_kernel=default_kernel,
        force_kernel=force_kernel,
        most_kernels=max_kernels,
        scheme=place.scheme,
    )
    settings = HostSettings(
        data=data,
        run=run_folder(data),
        cull_idle=cull_idle,
        cors=cors,
        ping=ping,
        seed=None if seed is None else read_seed(_absolute(seed)),
        lists=lists,
        spares=spares,
    )
    roots = [_folder(folder) for folder in kernel_roots] if kernel_roots else default_roots()

    def announce(port: int, kernel: Hosted | None) -> None:
        url = f"{place.scheme}://{_in_url(host)}:{port}{prefix}".rstrip("/")
        if as_json:
            typer.echo(json.dumps({"url": url, "key": access.shown, "key_in": access.where}))
        _say(f"Kernels at {url}/")
        _say_access(access)
        token = "" if access.keys is None else "JUPYTER_GATEWAY_AUTH_TOKEN=KEY "
        _say(f"Use them:  {token}jupyter lab --gateway-url {url}")
        _say("Ctrl-C ends it" + ("; kernels run on." if keep else " and its kernels."))

    _serve(Alone(settings, place, access.keys, rules, roots, keep, announce))


def bridge(
    connection_file: Annotated[
        Path | None, typer.Option("--connection-file", help="Of a kernel that runs already.", metavar="FILE")
    ] = None,
    kernel_name: Annotated[str | None, typer.Option("--kernel-name", help="Start this kernel.")] = None,
    port: Port = _PORT,
    host: Address = "127.0.0.1",
    root: Root = None,
    api_key_file: KeyFile = None,
    open_: Open = False,
    certfile: CertFile = None,
    keyfile: PrivateKeyFile = None,
    allow_origin: Origins = None,
    as_json: AsJSON = False,
) -> None:
    """Put one kernel behind HTTP and websockets, in any container or on any machine where it runs.

    With --connection-file it joins a kernel that somebody else started, with --kernel-name it starts one. It ends
    when the kernel does. Its key is in the variable STUDIOLO_GATEWAY_KEY or in --api-key-file, else one is made and
    shown. `POST /api/kernels` returns the one kernel, whatever is asked for.

    \b
    Examples:
      STUDIOLO_GATEWAY_KEY=… studiolo bridge --kernel-name python3 --host 0.0.0.0
      studiolo bridge --connection-file ~/.local/share/jupyter/runtime/kernel-1234.json
    """
    if (connection_file is None) == (kernel_name is None):
        raise InvalidInput("usage-invalid", "Give --connection-file or --kernel-name, one of them.")
    with tempfile.TemporaryDirectory(prefix="studiolo-bridge-") as folder:
        data = Path(folder)
        place = Place(host, port, open_, api_key_file, _certificate(certfile, keyfile))
        access = find_access(place, data)
        cors = Cors(tuple(allow_origin or ()))
        rules = Rules(_folder(root or Path.cwd()), cors=cors, are_shared=True, forks=False, scheme=place.scheme)
        settings = HostSettings(data=data, run=run_folder(data), cors=cors, spares=0)

        def announce(port: int, kernel: Hosted | None) -> None:
            assert kernel is not None
            url = f"{place.scheme}://{_in_url(host)}:{port}"
            if as_json:
                typer.echo(json.dumps({"url": url, "kernel": kernel.id, "key": access.shown, "key_in": access.where}))
            _say(f"Kernel {kernel.id} at {url}/api/kernels/{kernel.id}")
            _say_access(access)
            _say(f"Use it:  jupyter lab --gateway-url {url}, or any client of Jupyter's websockets")

        connection = None if connection_file is None else read_connection(_absolute(connection_file))
        # Somebody else's kernel runs on when the bridge ends.
        keep = connection_file is not None
        only = Wish(kernel_name or "python3", None)
        _serve(Alone(settings, place, access.keys, rules, default_roots(), keep, announce, only, connection))


def _certificate(certfile: Path | None, keyfile: Path | None) -> Certificate | None:
    return certificate_of(*(file and _absolute(file) for file in (certfile, keyfile)))


def _serve(alone: Alone) -> None:
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    os.umask(0o077)
    raise typer.Exit(asyncio.run(alone.serve()))


def _say_access(access: Access) -> None:
    if access.keys is None:
        _say("No key is needed; other machines are not answered.")
    elif access.shown is not None:
        _say(f"API key: {access.shown}")
        _say(f"It is kept in {access.where} and not shown again.")
    else:
        _say(f"API key: as in {access.where}")


def _say(line: str) -> None:
    typer.echo(line, err=True)


def _prefix(base_url: str) -> str:
    """Return it as it stands in addresses; `/user/a@b/` and `/user/a%40b/` mean the same."""
    path = quote(unquote(base_url.strip("/")), safe="/")
    return f"/{path}/" if path else "/"


def _in_url(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _absolute(path: Path) -> Path:
    return path.expanduser().absolute()


def _folder(path: Path) -> Path:
    found = _absolute(path)
    if not found.is_dir():
        raise InvalidInput("folder-not-found", f"There is no folder {path}.")
    return found
