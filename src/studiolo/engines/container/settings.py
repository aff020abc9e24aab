"""What an administrator says of containers: `[engines.container]`, and `engines.container` of a profile."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ByteSize, ConfigDict, Field, StringConstraints, model_validator

_MIB = 1024**2
# A whole name as CDI has it: vendor/class=device.
CdiDevice = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9._-]+/[a-zA-Z0-9._-]+=[a-zA-Z0-9._:-]+$")]
# No option, and nothing that a path or a query could be made of.
Image = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9._/:@-]*$", max_length=512)]


def _no_shared_network(name: str) -> str:
    if name == "host":
        raise ValueError("sessions in the machine's own network could reach all that listens there")
    return name


class ExtraMount(BaseModel):
    """A folder of the machine that all containers get."""

    model_config = ConfigDict(extra="forbid")

    source: Path = Field(description="Folder on this machine.")
    target: Path = Field(description="Where containers have it.")
    writable: bool = Field(False, description="Whether sessions may change it.")


class BuildSettings(BaseModel):
    """Images that are made from environments."""

    model_config = ConfigDict(extra="forbid")

    repository: Annotated[
        str, StringConstraints(pattern=r"^[a-z0-9.-]+(:[0-9]+)?(/[a-z0-9]+([._-][a-z0-9]+)*)+$", max_length=200)
    ] = Field(
        "localhost/studiolo",
        description="What their names begin with. With a registry's host (`registry.example.org/team`) they can be "
        "pushed there.",
    )
    username: str | None = Field(None, description="Account at the registry; with password_file. None: no login.")
    password_file: Path | None = Field(None, description="File that holds its password or token; read at each push.")
    insecure: bool = Field(False, description="The registry has no TLS; of Podman (Docker has a list of its own).")
    most: int = Field(5, ge=1, le=1000, description="How many images each workspace may have.")
    seconds: float = Field(3600, ge=60, description="How long the daemon may take to make an image, or to push it.")

    @model_validator(mode="after")
    def _whole(self) -> "BuildSettings":
        if (self.username is None) != (self.password_file is None):
            raise ValueError("username and password_file belong together")
        return self

    @property
    def registry(self) -> str:
        """The repository if it is one of a registry, else nothing."""
        host = self.repository.partition("/")[0]
        return self.repository if "." in host or ":" in host else ""


class ContainerSettings(BaseModel):
    """How sessions run in containers."""

    model_config = ConfigDict(extra="forbid")

    url: Annotated[str, StringConstraints(pattern=r"^unix:///")] | None = Field(
        None,
        description="Socket of the daemon, as `unix:///path`. None: what DOCKER_HOST says, else the usual places of "
        "Podman and Docker. Only daemons of this machine: sessions use the workspace's own folder.",
    )
    image: Image = Field(
        "docker.io/library/python:3.12-bookworm", description="Image of sessions that name none of their own."
    )
    images: list[str] = Field(
        [], description="Images that sessions may name, `*` for any part of a name; none: only the default one."
    )
    pull: Literal["missing", "always", "never"] = Field("missing", description="When an image is fetched.")
    network: Annotated[
        str, StringConstraints(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_.-]*$"), AfterValidator(_no_shared_network)
    ] = Field(
        "none",
        description="`none`: sessions reach this platform and nothing else. The name of a network of the daemon's: "
        "they reach what it reaches, and each other; that is isolation L2.",
    )
    user: Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]*:[0-9]+$")] | None = Field(
        None,
        description="Account of sessions, `uid:gid`. None: that of the platform; where it is root, 60100:60100, which "
        "becomes the owner of the workspace's files.",
    )
    mounts: list[ExtraMount] = Field([], description="More folders for all containers.")
    gpus: dict[str, list[CdiDevice]] = Field(
        {}, description="GPUs to hand out: for each type its devices by their CDI names (`nvidia.com/gpu=0`)."
    )
    runtime: Literal["mount", "image"] = Field(
        "mount",
        description="`mount`: containers use this installation, read-only. `image`: each image has the same version "
        "of Studiolo.",
    )
    python: str = Field("python3", description="With `runtime = image`: the interpreter that has Studiolo.")
    tmp_size: ByteSize = Field(ByteSize(1024 * _MIB), description="Room in /tmp; counts as the session's memory.")
    shm_size: ByteSize = Field(ByteSize(256 * _MIB), description="Room in /dev/shm; counts as the session's memory.")
    warm: int = Field(
        0,
        ge=0,
        le=20,
        description="Containers kept ready for each image and size of session that was launched lately (the last "
        "three); each holds the memory of a session that nobody uses. Needs a platform that runs as root.",
    )
    builds: BuildSettings = Field(
        default_factory=BuildSettings, description="Images that are made from workspaces' environments."
    )
    call_seconds: float = Field(10.0, gt=0, description="How long the daemon may take to answer.")


class ContainerOptions(BaseModel):
    """What a profile says for containers."""

    model_config = ConfigDict(extra="forbid")

    image: Image | None = Field(None, description="Image, where neither person nor workspace names one.")
    shm_size: ByteSize | None = Field(None, description="Room in /dev/shm instead of the engine's.")
