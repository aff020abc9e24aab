"""The settings tree and how it is loaded: flags beat environment, environment beats `studiolo.toml`."""

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from studiolo.contract.errors import InvalidInput
from studiolo.server.settings.accounts import AccountSettings
from studiolo.server.settings.backup import BackupSettings
from studiolo.server.settings.egress import EgressSettings
from studiolo.server.settings.engines import EngineSettings
from studiolo.server.settings.files import FileSettings
from studiolo.server.settings.kernels import KernelSettings
from studiolo.server.settings.local import LocalSettings
from studiolo.server.settings.mail import MailSettings
from studiolo.server.settings.packages import PackageSettings
from studiolo.server.settings.resources import ResourceSettings
from studiolo.server.settings.sessions import SessionSettings
from studiolo.server.settings.workspaces import EnvironmentSettings, WorkspaceSettings

# Linux refuses longer socket addresses (sockaddr_un), macOS 104.
MAX_SOCKET_PATH = 103
# What `make dev-up` makes in a clone, so that the commands it prints find it.
_HERE = ".studiolo"


def default_data_dir() -> Path:
    """Return the data directory used when none is named: `.studiolo` here if there is one, else the account's."""
    here = Path.cwd() / _HERE
    if here.is_dir():
        return here
    base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(base) / "studiolo"


class TLSSettings(BaseModel):
    """How the front door speaks TLS."""

    mode: Literal["off", "internal", "acme", "files", "proxy"] = Field(
        "off",
        description="`internal`: a local certificate authority; `acme`: Let's Encrypt; `files`: cert and key; "
        "`proxy`: another one before the platform ends TLS and asks it in plain http.",
    )
    proxy_port: int = Field(443, ge=1, le=65535, description="Port that people use, with `proxy`.")
    certificate: Path | None = Field(None, description="PEM chain; a wildcard lets sessions have own origins.")
    key: Path | None = Field(None, description="PEM private key.")


class Settings(BaseSettings):
    """Everything that can be set. Nothing needs to be: defaults give a safe start on one machine."""

    model_config = SettingsConfigDict(
        env_prefix="STUDIOLO_",
        env_nested_delimiter="__",
        extra="forbid",
        nested_model_default_partial_update=True,
    )

    data_dir: Path = Field(default_factory=default_data_dir, description="Database, files, environments, logs.")
    run_dir: Path | None = Field(None, description="Private folder for sockets; empty: chosen by the platform.")
    host: str = Field("127.0.0.1", description="Address to listen on; loopback unless you say otherwise.")
    port: int = Field(8888, ge=1, le=65535, description="The one TCP port.")
    domain: str = Field("localhost", description="Name that people use; sessions get names below it.")
    access_log: bool = Field(
        False,
        description="A line of JSON for each request in logs/front-door.log, with the id that all logs name it by.",
    )
    hostnames: list[str] = Field(default_factory=list, description="Further names or addresses to answer to.")
    database_url: str | None = Field(None, description="SQLAlchemy URL; empty: SQLite in the data directory.")
    tls: TLSSettings = Field(default_factory=TLSSettings)
    jupyter_blocked_packages: str | None = Field(
        None,
        description="Entries between commas, in place of every policy's `blocked_packages`; `off` blocks nothing. "
        "`FETCHML_JUPYTER_BLOCKED_PACKAGES` is the same; this one wins.",
    )
    jupyter_startup_blocked_packages: str | None = Field(
        None,
        description="Packages between commas that no environment may hold when a session starts, or `off`. "
        "`FETCHML_JUPYTER_STARTUP_BLOCKED_PACKAGES` is the same; this one wins.",
    )
    accounts: AccountSettings = Field(default_factory=AccountSettings)
    mail: MailSettings = Field(default_factory=MailSettings)
    sessions: SessionSettings = Field(default_factory=SessionSettings)
    engines: EngineSettings = Field(default_factory=EngineSettings)
    local: LocalSettings = Field(default_factory=LocalSettings)
    kernels: KernelSettings = Field(default_factory=KernelSettings)
    files: FileSettings = Field(default_factory=FileSettings)
    workspaces: WorkspaceSettings = Field(default_factory=WorkspaceSettings)
    resources: ResourceSettings = Field(default_factory=ResourceSettings)
    environments: EnvironmentSettings = Field(default_factory=EnvironmentSettings)
    packages: PackageSettings = Field(default_factory=PackageSettings)
    backup: BackupSettings = Field(default_factory=BackupSettings)
    egress: EgressSettings = Field(default_factory=EgressSettings)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order the sources: flags, environment, then the file in the data directory."""
        named = init_settings().get("data_dir") or os.environ.get("STUDIOLO_DATA_DIR") or default_data_dir()
        toml = os.environ.get("STUDIOLO_CONFIG") or Path(named).expanduser() / "studiolo.toml"
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, toml)

    @property
    def instance(self) -> str:
        """Eight hex digits that tell platforms on one machine apart, from the data directory's real path."""
        return hashlib.sha256(str(self.data_dir.resolve()).encode()).hexdigest()[:8]

    @property
    def runtime_dir(self) -> Path:
        """Short private folder for sockets; see `kit.rundir.prepare` for the checks at start."""
        if self.run_dir is not None:
            return self.run_dir
        base = os.environ.get("XDG_RUNTIME_DIR")
        if base and len(base) < 40 and Path(base).is_dir():
            return Path(base) / f"studiolo-{self.instance}"
        return Path(tempfile.gettempdir() if len(tempfile.gettempdir()) < 30 else "/tmp") / (  # noqa: S108
            f"studiolo-{os.getuid()}-{self.instance}"
        )

    @property
    def scheme(self) -> str:
        """`http` or `https`, as people's browsers speak it."""
        return "http" if self.tls.mode == "off" else "https"

    @property
    def listens_with_tls(self) -> bool:
        """Whether the front door speaks TLS itself."""
        return self.tls.mode not in ("off", "proxy")

    @property
    def entry_cookie(self) -> str:
        """Name of the cookie that enters a session; it has a path in shared mode, which `__Host-` excludes."""
        return f"studiolo-entry-{self.instance}"

    @property
    def address(self) -> str:
        """The platform's own address, without a trailing slash."""
        port = self.tls.proxy_port if self.tls.mode == "proxy" else self.port
        standard = {"http": 80, "https": 443}[self.scheme]
        return f"{self.scheme}://{self.domain}" + ("" if port == standard else f":{port}")

    @property
    def authority_file(self) -> Path | None:
        """Certificate of the local authority, where the front door keeps it; None without one."""
        if self.tls.mode != "internal":
            return None
        return self.data_dir / "front-door" / "storage" / "pki" / "authorities" / "local" / "root.crt"

    @property
    def trusted_file(self) -> Path:
        """What the machine trusts and the local authority, for tools; there once a session has needed it."""
        return self.data_dir / "front-door" / "trusted.pem"

    @property
    def control_socket(self) -> Path:
        """Where the control plane listens."""
        return self.runtime_dir / "control.sock"

    @property
    def relay_socket(self) -> Path:
        """Where the control plane carries websockets to servers that are not ours."""
        return self.runtime_dir / "relay.sock"

    @property
    def fork_server_socket(self) -> Path:
        """Where the fork server listens."""
        return self.runtime_dir / "forkserver.sock"

    @property
    def kernels_socket(self) -> Path:
        """Where the kernel host listens."""
        return self.runtime_dir / "kernels.sock"

    @property
    def kernels_key_file(self) -> Path:
        """The secret that front door, control plane and kernel host share."""
        return self.runtime_dir / "kernels.key"

    @property
    def files_socket(self) -> Path:
        """Where the file host listens."""
        return self.runtime_dir / "files.sock"

    @property
    def files_key_file(self) -> Path:
        """The secret that front door, control plane and file host share."""
        return self.runtime_dir / "files.key"

    @property
    def index_socket(self) -> Path:
        """Where the package index listens."""
        return self.runtime_dir / "index.sock"

    @property
    def index_key_file(self) -> Path:
        """The secret that front door, control plane and package index share."""
        return self.runtime_dir / "index.key"

    @property
    def index_channels_file(self) -> Path:
        """Where the package index reads its channels: addresses may hold passwords."""
        return self.runtime_dir / "index.channels"

    @property
    def packages_dir(self) -> Path:
        """What the package index keeps."""
        return self.data_dir / "packages"

    @property
    def osv_index(self) -> Path:
        """What scans make of the OSV export that `packages.osv_folder` names."""
        return self.data_dir / "packages" / "osv.db"

    @property
    def shortcuts(self) -> Path:
        """Folder of links to sockets of sessions, for the front door: see `server.shortcuts`."""
        return self.runtime_dir / "d"

    @property
    def workload_door(self) -> Path:
        """Where the front door listens for workloads that share no network with it; alone in its folder."""
        return self.runtime_dir / "w" / "door.sock"

    @property
    def session_sockets(self) -> Path:
        """Folder of the sessions' sockets."""
        return self.runtime_dir / "s"


def load_settings(**flags: Any) -> Settings:
    """Load settings; `flags` are those given on the command line (None: not given).

    Raises InvalidInput (`settings-invalid`) that names each wrong setting.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    try:
        settings = Settings(**given)
    except ValidationError as exc:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in exc.errors())
        raise InvalidInput("settings-invalid", f"The settings cannot be used: {wrong}.") from exc
    except (ValueError, OSError) as exc:
        raise InvalidInput("settings-invalid", f"The settings cannot be read: {exc}.") from exc
    return settings.model_copy(update={"data_dir": settings.data_dir.expanduser().absolute()})
