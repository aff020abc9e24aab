"""Settings of engines: which one runs what names none, and a table for each, read by the engine's own model."""

import json
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from studiolo.engines.local.gpus import DeclaredGPU


class LocalEngineSettings(BaseModel):
    """The engine of this machine."""

    model_config = ConfigDict(extra="forbid")

    enabled: bool = Field(
        True, description="Whether people may run sessions on the platform's own machine; the platform itself may."
    )
    gpus: list[DeclaredGPU] | None = Field(
        None, description="GPUs of this machine that may be leased; left out: all that nvidia-smi shows."
    )
    gpu_types: dict[str, str] = Field(
        default_factory=dict,
        description="Types of this machine's GPUs: for each, a part of the model's name as nvidia-smi shows it.",
        examples=[{"a100": "A100-SXM4"}],
    )

    @model_validator(mode="after")
    def _check_gpus(self) -> "LocalEngineSettings":
        ids = [gpu.id for gpu in self.gpus or ()]
        if len(set(ids)) != len(ids):
            raise ValueError("two GPUs have the same id")
        return self


class EngineSettings(BaseModel):
    """Tables `[engines.<name>]`: an engine is there when it has one; `local` always is."""

    model_config = ConfigDict(extra="allow")

    default: str = Field("", description="The engine that runs what names none; empty: the first there is.")
    local: LocalEngineSettings = Field(default_factory=LocalEngineSettings)

    @model_validator(mode="after")
    def _check_tables(self) -> "EngineSettings":
        extra = self.model_extra or {}
        for name, value in list(extra.items()):
            # The platform's parts get a table as the text of one variable.
            extra[name] = _read(value)
            if not isinstance(extra[name], dict):
                raise ValueError(f"{name} must be a table [engines.{name}] of that engine's settings")
        return self

    @property
    def tables(self) -> dict[str, dict[str, Any]]:
        """The tables of all engines but `local`, by name, in the order in which they stand."""
        extra: dict[str, dict[str, Any]] = self.model_extra or {}
        return {name: {key: _read(value) for key, value in table.items()} for name, table in extra.items()}


def _read(value: Any) -> Any:
    """Return a list or table that came as the text of an environment variable as what it says."""
    if not isinstance(value, str) or not value.startswith(("[", "{")):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value
