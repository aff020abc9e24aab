"""What a workspace gives its headless kernels: kernelspecs, environment, folder, variables, a place to run in."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlalchemy import RowMapping

from studiolo.contract.resources import Resources
from studiolo.engines.base import Machine
from studiolo.engines.local.accounts import find_account
from studiolo.engines.tools import offer_tools
from studiolo.engines.variables import workload_variables
from studiolo.gateway.base import Caller, KernelPlan, Right, Wish
from studiolo.gateway.folders import start_folder
from studiolo.gateway.offers.environments import with_environment
from studiolo.gateway.offers.specs import Spec, list_specs, with_metadata
from studiolo.gateway.starting.variables import session_name
from studiolo.packages.clients.configuration import Configuration
from studiolo.packages.clients.sources import without_sources
from studiolo.runtime.acting import acting_as
from studiolo.runtime.toolfiles import write_files, write_netrc
from studiolo.server.gpus.leases import Leases
from studiolo.server.kernels.secrets import netrc_file
from studiolo.server.packages.clients import Configure
from studiolo.server.packages.startup import StartupScan
from studiolo.server.principal import Principal
from studiolo.server.sessions.admission import Amounts
from studiolo.server.sessions.launch_spec import limit_variables, own_places
from studiolo.server.settings import Settings
from studiolo.server.workspaces.folders import Folders

Enclose = Callable[..., Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Ground:
    """Makes plans. `places`: where control groups are made; `of_workspace`: variables that a workspace's people set;
    `enclose`: what kernels are shown of the machine (see LocalEngine.enclose), `datasets` too, which are folders.
    """

    settings: Settings
    folders: Folders
    places: Callable[[], Awaitable[Mapping[str, Path]]]
    of_workspace: Callable[[Mapping[str, Any]], Mapping[str, str]]
    configure: Configure
    startup: StartupScan
    leases: Leases
    enclose: Enclose
    datasets: Callable[[Mapping[str, Any]], Mapping[str, Path]]

    def specs(self, workspace_id: str, place: Mapping[str, str] | None = None) -> dict[str, Spec]:
        """Return the kernelspecs of a workspace by name, with the environment's hash and `place`. Reads files."""
        environment = self.folders.environment(workspace_id)
        found = list_specs([environment / "share" / "jupyter" / "kernels"])
        return {name: with_metadata(with_environment(spec, {}), **(place or {})) for name, spec in found.items()}

    def has_environment(self, workspace_id: str) -> bool:
        """Tell whether the folder of a workspace's environment is there."""
        return self.folders.environment(workspace_id).is_dir()

    def key_file(self, kernel_id: str) -> Path:
        """Return where a kernel's own API key lies: where its account passes, if it has one."""
        is_passable = self.settings.local.accounts == "on"
        top = self.settings.data_dir / "engines" if is_passable else self.settings.runtime_dir
        return top / "keys" / kernel_id

    async def plan(
        self,
        workspace: RowMapping,
        who: Principal,
        wish: Wish,
        spec: Spec,
        allowed: Amounts,
        machine: Machine,
        *,
        key: str,
    ) -> KernelPlan:
        """Return the plan of a headless kernel that was admitted, and write what its tools read. `key`: its own."""
        assert wish.kernel_id is not None
        places = own_places(self.folders.of_person(workspace["id"], who.person_id))
        # Where the folder above its own is missing, IPython says so in the first cell and uses a temporary one.
        await asyncio.to_thread(self.folders.make_of_person, workspace["id"], who.person_id)
        resources = Resources.model_validate(allowed["resources"])
        environment = spec.environment or self.folders.environment(workspace["id"])
        tools = await self.configure(workspace["id"], who.person_id, environment, key)
        root = self.folders.of(workspace["id"], workspace["root"])
        account = find_account(root, is_needed=self.settings.local.accounts == "on")
        await asyncio.to_thread(self._write, self.key_file(wish.kernel_id), tools, account)
        groups = await self.places()
        gpus = await self.leases.variables(machine, wish.kernel_id)
        marker = f"k-{wish.kernel_id}"
        studiolo = {"environment": (spec.metadata.get("studiolo") or {}).get("environment")}
        studiolo |= {"workspace": workspace["id"], "resources": resources.model_dump(exclude_none=True)}
        variables = self._variables(workspace, who, wish, spec, resources, machine, environment, places, tools, gpus)
        seen = await asyncio.to_thread(
            self.enclose,
            root,
            environment,
            variables,
            datasets=self.datasets({"workspace_id": workspace["id"], "person_id": who.person_id}).values(),
            memory=resources.memory,
        )
        return KernelPlan(
            kernel_id=wish.kernel_id,
            scope=workspace["id"],
            spec_name=spec.name,
            argv=spec.argv,
            environment=spec.environment,
            folder=start_folder(root, wish),
            root=root,
            path=wish.path,
            variables=variables,
            interrupt_mode=spec.interrupt_mode,
            language=spec.language,
            metadata={**spec.metadata, "display_name": spec.display_name, "studiolo": studiolo},
            groups={controller: str(place) for controller, place in groups.items()},
            group=marker,
            marker=marker,
            cpu_limit=resources.cpu,
            memory_limit=resources.memory,
            process_limit=self.settings.kernels.max_processes,
            enclosure=seen,
        )

    def _variables(
        self,
        workspace: RowMapping,
        who: Principal,
        wish: Wish,
        spec: Spec,
        resources: Resources,
        machine: Machine,
        environment: Path,
        places: Mapping[str, str],
        tools: Configuration,
        gpus: Mapping[str, str],
    ) -> dict[str, str]:
        root = self.folders.of(workspace["id"], workspace["root"])
        of_person = {"workspace_id": workspace["id"], "person_id": who.person_id, "config": workspace["config"]}
        authority = self.settings.authority_file
        given = {
            **places,
            **limit_variables(resources, machine),
            **without_sources(self.of_workspace(of_person)),
            **spec.variables,
            **session_name(root, wish),
            **without_sources(wish.variables),
            **({"STUDIOLO_CA_FILE": str(authority)} if authority else {}),
            "STUDIOLO_WORKSPACE": f"{workspace['owner_name']}/{workspace['name']}",
            **tools.variables,
            **gpus,
        }
        own = {
            "KERNEL_ID": str(wish.kernel_id),
            "KERNEL_USERNAME": who.name,
            "STUDIOLO_URL": self.settings.address,
            "STUDIOLO_KEY_FILE": str(self.key_file(str(wish.kernel_id))),
            "NETRC": str(netrc_file(self.key_file(str(wish.kernel_id)))),
        }
        programs = offer_tools(self.settings.data_dir)
        return workload_variables(environment, given, own=own, tools=programs, machine=os.environ)

    def _write(self, key: Path, tools: Configuration, account: int) -> None:
        owner = (account, account) if account else None
        with acting_as(owner):
            write_files(tools.files)
        # What the platform's own account has there is no account's of a workspace to read.
        write_netrc(netrc_file(key), tools.netrc, os.environ.get("HOME") if owner is None else str(key.parent))
        if owner is not None:
            for folder in (key.parent, key.parent.parent):
                folder.chmod(0o711)
            for secret in (key, netrc_file(key)):
                os.chown(secret, *owner)


def read_caller(members: Mapping[str, Any]) -> Caller:
    """Read a caller as the host sends it. Raises KeyError, TypeError, ValueError."""
    return Caller(**{**members, "rights": frozenset(Right(right) for right in members["rights"])})


def read_wish(members: Mapping[str, Any]) -> Wish:
    """Read a wish as the host sends it. Raises TypeError."""
    return Wish(**members)


def without(wish: Wish, variables: Mapping[str, str]) -> Wish:
    """Return the wish with these variables only."""
    return replace(wish, variables=variables)
