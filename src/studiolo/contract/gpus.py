"""Wire models of GPUs that the platform leases one by one. Sizes are bytes, times aware UTC."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from studiolo.contract.models import PersonRef, Request, Wire, WorkspaceRef


class GPUHolder(Wire):
    """Who has a GPU. `session`, `kernel` and `workspace` are told to those who may see them."""

    person: PersonRef
    since: datetime
    kind: Literal["session", "kernel"]
    session: str | None = None
    kernel: str | None = None
    workspace: WorkspaceRef | None = None


class GPUState(Wire):
    """One GPU: what it is, what it does, who has it."""

    id: str = Field(description="Its UUID.", examples=["GPU-5a3e7d52-2c5f-0f0e-8b7c-3f1d0a9e4b11"])
    engine: str
    type: str = Field(description="What people ask for.", examples=["a100"])
    model: str = Field(description="What its maker calls it.", examples=["NVIDIA A100-SXM4-40GB"])
    memory: int | None
    memory_used: int | None
    utilisation: float | None = Field(description="From 0 to 1, as it was lately.")
    holder: GPUHolder | None = Field(description="None: it is free.")


class GPUWait(Wire):
    """What a person waits for."""

    engine: str
    count: int
    type: str | None
    since: datetime
    told_at: datetime | None = Field(description="When they were told that as many are free; None: not yet.")


class GPUOverview(Wire):
    """All GPUs that the platform leases, and what the caller waits for."""

    gpus: list[GPUState]
    waiting: GPUWait | None


class GPUNotify(Request):
    """Ask to be told once as many are free."""

    count: int = Field(1, ge=1, le=64)
    type: str | None = Field(None, max_length=100)
    engine: str | None = Field(None, max_length=32, description="Left out: the first engine that has GPUs.")
