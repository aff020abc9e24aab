"""The GPUs of this machine: what `nvidia-smi` tells of them, and which of them the administrator lists."""

import asyncio
import csv
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import structlog
from pydantic import BaseModel, ConfigDict, Field

from studiolo.contract.sizes import Size
from studiolo.engines.base import GPU

_log = structlog.get_logger(__name__)
_PROGRAM = "nvidia-smi"
_QUERY = ("--query-gpu=uuid,name,memory.total,memory.used,utilization.gpu", "--format=csv,noheader,nounits")
# Without the driver's persistence mode the program takes seconds.
_SECONDS = 10.0
_FRESH_SECONDS = 5.0
_MIB = 1024**2
_NOT_IN_NAMES = re.compile(r"[^a-z0-9]+")


class DeclaredGPU(BaseModel):
    """A GPU as an administrator lists it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9./_-]{0,99}$",
        description="Its UUID, as `nvidia-smi -L` shows it (GPU-…, MIG-…).",
    )
    type: str | None = Field(None, max_length=100, description="What people ask for; empty: by its model.")
    memory: Size | None = Field(None, description="Where nvidia-smi does not tell it.")


class GPUs:
    """Looks at them in the background: who asks gets what was last seen.

    `declared`: those that may be used; None: all that are seen. `types`: for each type, a part of its models' names.
    """

    def __init__(self, declared: Sequence[DeclaredGPU] | None = None, types: Mapping[str, str] | None = None) -> None:
        self._declared = declared
        self._types = types or {}
        self._seen: tuple[GPU, ...] | None = None
        self._looking: asyncio.Task[None] | None = None
        self._looked_at = 0.0

    async def look(self) -> tuple[GPU, ...]:
        """Return them; only the first look waits for the program."""
        now = asyncio.get_running_loop().time()
        if self._looking is None and (self._seen is None or now - self._looked_at > _FRESH_SECONDS):
            self._looking = asyncio.create_task(self._look(), name="gpus")
        if self._looking is not None and self._seen is None:
            await asyncio.shield(self._looking)
        return self._seen or ()

    async def aclose(self) -> None:
        """Look no more."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    async def _look(self) -> None:
        try:
            shown = await asyncio.to_thread(ask_program)
            if shown is None and self._seen is not None:
                # A driver that does not answer has not lost its cards; what they do is unknown.
                self._seen = tuple(replace(gpu, memory_used=None, utilisation=None) for gpu in self._seen)
            else:
                self._seen = choose(read_output(shown or "", self._types), self._declared)
        finally:
            self._looked_at = asyncio.get_running_loop().time()
            self._looking = None


def ask_program() -> str | None:
    """Return what `nvidia-smi` prints: nothing where there is none, None where it fails. Blocks."""
    if (program := shutil.which(_PROGRAM)) is None:
        return ""
    try:
        done = subprocess.run([program, *_QUERY], capture_output=True, text=True, check=False, timeout=_SECONDS)
    except (OSError, ValueError, subprocess.TimeoutExpired) as exc:
        _log.warning("gpus-not-seen", why=str(exc))
        return None
    if done.returncode:
        _log.warning("gpus-not-seen", why=(done.stdout + done.stderr).strip()[:300])
        return None
    return done.stdout


def read_output(text: str, types: Mapping[str, str]) -> list[GPU]:
    """Read a line for each GPU: UUID, model, memory and used memory in MiB, utilisation in percent; `[N/A]` is unknown.

    Source: `nvidia-smi --help-query-gpu`. Lines that are none of these are left out.
    """
    return list(_read_lines(text, types))


def choose(seen: Sequence[GPU], declared: Sequence[DeclaredGPU] | None) -> tuple[GPU, ...]:
    """Return those that may be used: all that are seen, or those declared with what is seen of them."""
    if declared is None:
        return tuple(seen)
    by_id = {gpu.id: gpu for gpu in seen}
    return tuple(_merge(one, by_id.get(one.id)) for one in declared)


def type_of(model: str, types: Mapping[str, str]) -> str:
    """Return the type of a model: the first whose part is in its name, else the name itself as one word."""
    for name, part in types.items():
        if part.casefold() in model.casefold():
            return name
    return _NOT_IN_NAMES.sub("-", model.casefold()).strip("-") or "gpu"


def _read_lines(text: str, types: Mapping[str, str]) -> Iterator[GPU]:
    for row in csv.reader(text.splitlines(), skipinitialspace=True):
        if len(row) != 5 or not row[0].startswith(("GPU-", "MIG-")):
            continue
        memory, used, busy = (_number(word) for word in row[2:])
        yield GPU(
            id=row[0],
            type=type_of(row[1], types),
            model=row[1],
            memory=None if memory is None else memory * _MIB,
            memory_used=None if used is None else used * _MIB,
            utilisation=None if busy is None else busy / 100,
        )


def _number(word: str) -> int | None:
    return int(word) if word.strip().isdecimal() else None


def _merge(declared: DeclaredGPU, seen: GPU | None) -> GPU:
    seen = seen or GPU(declared.id, "gpu")
    return replace(seen, type=declared.type or seen.type, memory=seen.memory or declared.memory)
