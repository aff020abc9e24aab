"""Settings of what sessions may use."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, model_validator

from studiolo.contract.resources import Profile, Resources

_GIB = 1024**3


def _sizes() -> list[Profile]:
    sizes = (("small", 1, 2), ("medium", 2, 4), ("large", 4, 16), ("x-large", 8, 32))
    return [
        Profile(name=name, title=name.capitalize(), resources=Resources(cpu=cpu, memory=memory * _GIB))
        for name, cpu, memory in sizes
    ]


class VolumeOffer(BaseModel):
    """Storage that workspaces may attach, at `/volumes/<name>` in their sessions."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$", examples=["reference-genomes"])
    description: str = Field("", max_length=500)
    path: Path | None = Field(None, description="A folder of the machine, for engines that mount folders.")
    claim: str | None = Field(None, max_length=253, description="A PersistentVolumeClaim, for Kubernetes.")
    read_only: bool = Field(True, description="Whether sessions can only read it.")
    people: list[str] = Field(default_factory=list, description="Names of those who may use it; empty: everybody.")

    @model_validator(mode="after")
    def _check_place(self) -> "VolumeOffer":
        if self.path is None and self.claim is None:
            raise ValueError(f"the volume {self.name} needs a path, a claim or both")
        if self.path is not None and not self.path.is_absolute():
            raise ValueError(f"the path of the volume {self.name} must begin with /")
        return self

    def is_for(self, person: str) -> bool:
        """Tell whether somebody of that name may use it."""
        return not self.people or person in self.people


class ResourceSettings(BaseModel):
    """Profiles, and the largest that may be asked for."""

    profiles: list[Profile] = Field(default_factory=_sizes, description="Named sizes that people choose from.")
    default_profile: str = Field("", description="Profile of workspaces that name none; empty: no limits.")
    only_profiles: bool = Field(False, description="Refuse free numbers beside a profile.")
    largest: Resources = Field(
        default_factory=Resources,
        description="The most that one session may ask for; what is left open is the machine's own size.",
    )
    gpu_types: dict[str, str] = Field(
        default_factory=dict,
        description="Types of GPU that may be asked for, each with what it is; empty: whatever engines know.",
    )
    volumes: list[VolumeOffer] = Field(default_factory=list, description="Volumes that workspaces may attach.")
    overcommit: float = Field(
        4.0, ge=1, le=100, description="How often the machine's memory and processors may be promised in all."
    )

    @model_validator(mode="after")
    def _check_names(self) -> "ResourceSettings":
        names = [profile.name for profile in self.profiles]
        if len(set(names)) != len(names):
            raise ValueError("two profiles have the same name")
        volumes = [volume.name for volume in self.volumes]
        if len(set(volumes)) != len(volumes):
            raise ValueError("two volumes have the same name")
        if self.default_profile and self.default_profile not in names:
            raise ValueError(f"default_profile {self.default_profile!r} is none of {', '.join(names)}")
        default = next((profile for profile in self.profiles if profile.name == self.default_profile), None)
        if default is not None and default.people:
            raise ValueError(f"default_profile {default.name!r} is for some people alone, and must be for everybody")
        return self

    def of_person(self, name: str) -> "ResourceSettings":
        """Return them with the profiles alone that a person may use."""
        usable = [profile for profile in self.profiles if not profile.people or name in profile.people]
        return self.model_copy(update={"profiles": usable})
