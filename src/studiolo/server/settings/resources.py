"""Settings of what sessions may use."""

from pydantic import BaseModel, Field, model_validator

from studiolo.contract.resources import Profile, Resources

_GIB = 1024**3


def _sizes() -> list[Profile]:
    sizes = (("small", 1, 2), ("medium", 2, 4), ("large", 4, 16), ("x-large", 8, 32))
    return [
        Profile(name=name, title=name.capitalize(), resources=Resources(cpu=cpu, memory=memory * _GIB))
        for name, cpu, memory in sizes
    ]


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
    overcommit: float = Field(
        4.0, ge=1, le=100, description="How often the machine's memory and processors may be promised in all."
    )

    @model_validator(mode="after")
    def _check_names(self) -> "ResourceSettings":
        names = [profile.name for profile in self.profiles]
        if len(set(names)) != len(names):
            raise ValueError("two profiles have the same name")
        if self.default_profile and self.default_profile not in names:
            raise ValueError(f"default_profile {self.default_profile!r} is none of {', '.join(names)}")
        return self
