"""What is kept of a kernel beside its journal: `kernel.json` in its folder, and its variables in the run folder."""

import shutil
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from studiolo.gateway.base import KernelExit, KernelPlan
from studiolo.gateway.starting.plans import BadPlanError, plan_as_json, plan_from_json, read_json, replace_json


@dataclass(frozen=True, slots=True)
class KernelRecord:
    """One kernel. `plan`: its variables are empty if they were lost with the run folder.

    `removed`: nobody shall see it any more; its journal is still kept. `has_variables`: whether the plan is whole.
    """

    plan: KernelPlan
    person_id: str
    person_name: str
    started_at: datetime
    exit: KernelExit | None = None
    removed: bool = False
    has_variables: bool = True

    @property
    def id(self) -> str:
        """The kernel's id."""
        return self.plan.kernel_id


class KernelRecords:
    """Reads and writes records. `kernels`: folder with one folder per kernel; `run`: the private run folder."""

    def __init__(self, kernels: Path, run: Path) -> None:
        self._kernels = kernels
        self._secrets = run / "plans"
        kernels.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._secrets.mkdir(mode=0o700, parents=True, exist_ok=True)

    def folder(self, kernel_id: str) -> Path:
        """Return a kernel's folder."""
        return self._kernels / kernel_id

    def write(self, record: KernelRecord) -> None:
        """Write a record. Raises OSError."""
        members = {
            "plan": plan_as_json(replace(record.plan, variables={})),
            "person_id": record.person_id,
            "person_name": record.person_name,
            "started_at": record.started_at.isoformat(),
            "exit": None if record.exit is None else asdict(record.exit) | {"at": record.exit.at.isoformat()},
            "removed": record.removed,
        }
        folder = self.folder(record.id)
        folder.mkdir(mode=0o700, exist_ok=True)
        replace_json(folder / "kernel.json", members)

    def write_variables(self, plan: KernelPlan) -> None:
        """Keep the variables, out of the data directory: they hold keys. Raises OSError."""
        replace_json(self._secrets / f"{plan.kernel_id}.json", dict(plan.variables))

    def read_all(self) -> list[KernelRecord]:
        """Return all records there are; broken ones are left alone."""
        found = [self._read(folder) for folder in sorted(self._kernels.iterdir()) if folder.is_dir()]
        return [record for record in found if record is not None]

    def erase(self, kernel_id: str) -> None:
        """Erase all that is kept of a kernel."""
        (self._secrets / f"{kernel_id}.json").unlink(missing_ok=True)
        shutil.rmtree(self.folder(kernel_id), ignore_errors=True)

    def _read(self, folder: Path) -> KernelRecord | None:
        members: Any = read_json(folder / "kernel.json")
        variables = read_json(self._secrets / f"{folder.name}.json")
        try:
            ended = members.pop("exit")
            plan = plan_from_json(members.pop("plan") | {"variables": variables or {}})
            started_at = datetime.fromisoformat(members.pop("started_at"))
            exit = None if ended is None else KernelExit(**ended | {"at": datetime.fromisoformat(ended["at"])})
            return KernelRecord(plan, started_at=started_at, exit=exit, has_variables=variables is not None, **members)
        except (AttributeError, KeyError, TypeError, ValueError, BadPlanError):
            return None
