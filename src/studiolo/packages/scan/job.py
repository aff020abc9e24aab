"""What a scan is given, and what comes of it, as both go between the control plane and the process that scans."""

from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from studiolo.contract.scans import Coverage, Finding, ScannedPackage
from studiolo.packages.scan.environment import Delivery


class ScanJob(BaseModel):
    """`root`: the workspace's folder; `prefix`: its environment; `bases`: environments that the platform built itself.

    `settings_folders`: where people's own settings of tools in this workspace lie. `variables`: what the workspace
    gives its sessions. `policy`: as `Policy.to_json` writes it. `deliveries`: to this workspace, never to another.
    `indexes`: hosts of the workspace's own index. `osv_index` is made of `osv_export` where there is one. `key`: with
    which secrets are hashed. `seconds`: for all of it.
    """

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    root: Path
    prefix: Path
    bases: list[Path]
    settings_folders: list[Path]
    variables: dict[str, str]
    policy: str
    deliveries: list[Delivery]
    indexes: list[str]
    osv_export: Path | None
    osv_index: Path
    key: str
    now: datetime
    seconds: float = 600.0


class ScanOutcome(BaseModel):
    """What was found, worst first, and what was looked at."""

    findings: list[Finding]
    coverage: Coverage
    packages: list[ScannedPackage]


class ScanStep(BaseModel):
    """One line that the process writes: how far it is, or with `outcome` the last one."""

    phase: str = ""
    percent: int | None = None
    outcome: ScanOutcome | None = None
