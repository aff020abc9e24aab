"""Kernelspecs that people make from those there are: another name, variables, resources. Kept per workspace."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from studiolo.contract.errors import Conflict, InvalidInput, NotFound
from studiolo.gateway.base import Authority, Caller, Elsewhere, KernelPlan, Wish
from studiolo.gateway.starting.plans import read_json, replace_json

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_MOST = 100
# What a kernelspec may say of its size, and by which variable a client would ask for it.
RESOURCES = {"cpu": "KERNEL_CPUS", "memory": "KERNEL_MEMORY"}


@dataclass(frozen=True, slots=True)
class OwnSpec:
    """A kernelspec made from `base`. `resources`: {KERNEL_CPUS, KERNEL_MEMORY}, as a client would ask for them."""

    name: str
    base: str
    display_name: str
    variables: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    resources: Mapping[str, str] = field(default_factory=dict)


class OwnSpecs:
    """An Authority that adds the kernelspecs people made to those of another one, which still decides everything."""

    def __init__(self, inner: Authority, folder: Path) -> None:
        self._inner = inner
        self._folder = folder
        self.identify = inner.identify
        self.started = inner.started
        self.ended = inner.ended
        self.report = inner.report
        self.list_elsewhere = inner.list_elsewhere

    async def create(self, caller: Caller, spec: OwnSpec, *, is_trial: bool = False) -> dict[str, Any]:
        """Keep a new one, but for a trial; return its model. Raises InvalidInput, Conflict, NotFound."""
        if not _NAME.fullmatch(spec.name):
            raise InvalidInput("name-invalid", "name: lower-case letters, digits, dots, dashes and underscores only.")
        there = (await self._inner.specs(caller))["kernelspecs"]
        kept = self._read(caller.scope)
        if spec.name in there or spec.name in kept:
            raise Conflict(
                "kernelspec-exists", f"There is a kernelspec {spec.name} already.", hint="Take another name."
            )
        if spec.base not in there:
            hint = f"Kernels here: {', '.join(sorted(there)[:50]) or 'none'}."
            raise NotFound("kernelspec-not-found", f"base: the '{spec.base}' kernel is not available.", hint=hint)
        if len(kept) >= _MOST:
            raise InvalidInput("limit-exceeded", f"There are {_MOST} kernelspecs of your own already.")
        if not is_trial:
            self._write(caller.scope, {**kept, spec.name: spec})
        return _model(spec, there[spec.base])

    def remove(self, caller: Caller, name: str, *, is_trial: bool = False) -> None:
        """Forget one, but for a trial; kernels that run go on. Raises NotFound, also for what nobody made here."""
        kept = self._read(caller.scope)
        if name not in kept:
            raise NotFound("kernelspec-not-found", f"There is no kernelspec {name[:64]} that was made here.")
        if not is_trial:
            self._write(caller.scope, {key: spec for key, spec in kept.items() if key != name})

    async def reserve(self, caller: Caller, wish: Wish) -> KernelPlan | Elsewhere:
        """See Authority: the kernel is its base's, with the variables and resources of the one that was made."""
        spec = self._read(caller.scope).get(wish.spec_name or "")
        if spec is None:
            return await self._inner.reserve(caller, wish)
        asked = replace(wish, spec_name=spec.base, variables={**spec.variables, **spec.resources, **wish.variables})
        plan = await self._inner.reserve(caller, asked)
        if isinstance(plan, Elsewhere):
            return plan
        metadata = {**plan.metadata, **spec.metadata, "display_name": spec.display_name}
        # What the client was let set goes before the kernelspec's own.
        chosen = {name: value for name, value in wish.variables.items() if plan.variables.get(name) == value}
        variables = {**plan.variables, **spec.variables, **chosen}
        return replace(plan, spec_name=spec.name, variables=variables, metadata=metadata)

    async def specs(self, caller: Caller) -> Mapping[str, Any]:
        """See Authority; one whose base has gone is left out until it is back."""
        found = await self._inner.specs(caller)
        there = found["kernelspecs"]
        made = {
            spec.name: _model(spec, there[spec.base])
            for spec in self._read(caller.scope).values()
            if spec.base in there
        }
        return {**found, "kernelspecs": {**made, **there}}

    async def find_resource(self, caller: Caller, spec_name: str, file_name: str) -> Path | None:
        """See Authority; it has its base's logos."""
        spec = self._read(caller.scope).get(spec_name)
        return await self._inner.find_resource(caller, spec.base if spec else spec_name, file_name)

    def _read(self, scope: str) -> dict[str, OwnSpec]:
        members: Sequence[dict[str, Any]] = read_json(self._file(scope)) or []
        return {spec.name: spec for spec in (OwnSpec(**m) for m in members)}

    def _write(self, scope: str, specs: Mapping[str, OwnSpec]) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_json(self._file(scope), [asdict(spec) for spec in specs.values()])

    def _file(self, scope: str) -> Path:
        # Those of a session outlive its launch, whose number stands behind the dot.
        return self._folder / f"{scope.partition('.')[0]}.json"


def _model(spec: OwnSpec, base: Mapping[str, Any]) -> dict[str, Any]:
    ours = {**base["spec"]["metadata"].get("studiolo", {}), "base": spec.base, "resources": _resources(spec)}
    changed = {
        **base["spec"],
        "display_name": spec.display_name,
        "env": {**base["spec"].get("env", {}), **spec.variables},
        "metadata": {**base["spec"]["metadata"], **spec.metadata, "studiolo": ours},
    }
    return {"name": spec.name, "spec": changed, "resources": base["resources"]}


def _resources(spec: OwnSpec) -> dict[str, str]:
    """Return them by the names that other kernelspecs tell theirs by."""
    return {name: spec.resources[asked] for name, asked in RESOURCES.items() if asked in spec.resources}
