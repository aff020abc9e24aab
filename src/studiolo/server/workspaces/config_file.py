"""workspace-config.yaml: text to WorkspaceConfig and back. Each fault names line, column and key.

```yaml
profile: medium
resources: {cpu: 4, memory: 8g, gpu: 1, gpu_type: nvidia-tesla-v100, disk: 20g, image: name, time_limit: 8h}
environment: {python_version: "3.11", jupyter_version: latest, ANY_VARIABLE: text}
security: {trusted_channels: [conda-forge], blocked_packages: [aiohttp]}
engine: slurm
min_isolation: L2
volumes: [reference-genomes]
```
"""

import difflib
import re
from collections.abc import Callable
from typing import Any

import yaml

from studiolo.contract.details import EnvironmentConfig, Security, WorkspaceConfig
from studiolo.contract.durations import format_seconds
from studiolo.contract.errors import InvalidInput
from studiolo.contract.resources import Resources
from studiolo.contract.sizes import format_size
from studiolo.kit.marked_yaml import Faults, UnreadableYAML, compose, read_entries, read_list, read_text
from studiolo.server.workspaces import configuration as rules

_OTHER_BREAKS = re.compile("[\x85\u2028\u2029\ufeff]")
_MOST_FAULTS = 50
# Where people look for them.
_PACKAGES = ("packages", "environment.packages")
_NO_PACKAGES = "is no part of this file: list packages in one of their own, then studiolo install WORKSPACE -r FILE"
_SECTIONS = ("profile", "resources", "environment", "security", "engine", "min_isolation", "volumes")


def read_config_file(content: str | bytes) -> WorkspaceConfig:
    """Return the configuration; an empty file is an empty one.

    Raises InvalidInput (`config-invalid`) with all faults: `errors: [{location, line, column, message}]`.
    """
    try:
        node = compose(content)
    except UnreadableYAML as exc:
        raise _invalid([exc.fault]) from exc
    faults = Faults()
    sections = dict(read_entries(node, "", faults, known=_SECTIONS))
    resources = _texts(sections.get("resources"), "resources", faults, rules.RESOURCES)
    config = {
        "profile": read_text(sections.get("profile"), "profile", faults, rules.read_profile),
        "environment": _environment(sections.get("environment"), faults),
        "security": _security(sections.get("security"), faults),
        "engine": read_text(sections.get("engine"), "engine", faults, rules.read_engine),
        "min_isolation": read_text(sections.get("min_isolation"), "min_isolation", faults, rules.read_isolation),
        "volumes": _volumes(sections.get("volumes"), faults),
    }
    for fault in faults:
        if fault["location"] in _PACKAGES:
            fault["message"] = _NO_PACKAGES
    if faults:
        raise _invalid(faults.in_order())
    return WorkspaceConfig(resources=Resources(**resources), **config)


def write_config_file(config: WorkspaceConfig) -> str:
    """Return the text of a workspace-config.yaml that reads back as `config`."""
    resources = config.resources.model_dump(exclude_none=True)
    for name in ("memory", "disk"):
        if name in resources:
            resources[name] = format_size(resources[name])
    if "time_limit" in resources:
        resources["time_limit"] = format_seconds(resources["time_limit"])
    if "cpu" in resources and resources["cpu"] == int(resources["cpu"]):
        resources["cpu"] = int(resources["cpu"])
    environment = config.environment.model_dump(exclude_none=True, exclude={"variables"})
    sections = {
        "profile": config.profile,
        "resources": resources,
        "environment": environment | config.environment.variables,
        "security": config.security.model_dump(exclude_none=True),
        "engine": config.engine,
        "min_isolation": config.min_isolation,
        "volumes": config.volumes,
    }
    given = {name: value for name, value in sections.items() if value}
    # These PyYAML writes as plain line breaks and reads back as spaces, unless everything odd is escaped.
    readable = not any(_OTHER_BREAKS.search(value) for value in config.environment.variables.values())
    return yaml.safe_dump(given, sort_keys=False, allow_unicode=readable, width=1000) if given else ""


def _texts(
    node: yaml.Node | None, location: str, faults: Faults, readers: dict[str, Callable[[str], Any]]
) -> dict[str, Any]:
    entries = read_entries(node, location, faults, known=readers)
    return {key: read_text(value, f"{location}.{key}", faults, readers[key]) for key, value in entries}


def _environment(node: yaml.Node | None, faults: Faults) -> EnvironmentConfig:
    reserved: dict[str, Any] = {}
    variables: dict[str, str] = {}
    for key, value in read_entries(node, "environment", faults):
        where = f"environment.{key[:80]}"
        if key in rules.RESERVED_KEYS:
            reserved[key] = read_text(value, where, faults, rules.RESERVED_KEYS[key])
            continue
        if key.islower() and (near := difflib.get_close_matches(key, rules.RESERVED_KEYS, n=1, cutoff=0.85)):
            faults.add(value.start_mark, where, f"is not known. Did you mean {near[0]}?")
            continue

        def check(text: str, name: str = key) -> str:
            rules.check_variable(name, text)
            rules.check_count(len(variables) + 1, "variables")
            return text

        variables[key] = read_text(value, where, faults, check) or ""
    return EnvironmentConfig(**reserved, variables=variables) if not faults else EnvironmentConfig()


def _security(node: yaml.Node | None, faults: Faults) -> Security:
    lists: dict[str, list[str]] = {}
    for key, value in read_entries(node, "security", faults, known=rules.SECURITY):
        items = read_list(value, f"security.{key}", faults, most=rules.MOST_NAMES, example='["conda-forge"]')
        lists[key] = [read_text(item, where, faults, rules.SECURITY[key]) for where, item in items or ()]
    return Security(**lists) if not faults else Security()


def _volumes(node: yaml.Node | None, faults: Faults) -> list[str]:
    items = read_list(node, "volumes", faults, most=rules.MOST_VOLUMES, example='["reference-genomes"]')
    return [name for where, item in items or () if (name := read_text(item, where, faults, rules.read_volume))]


def _invalid(faults: list[dict[str, Any]]) -> InvalidInput:
    first = faults[0]
    key = f"{first['location']} " if first["location"] else ""
    more = f" {len(faults) - 1} more {'is' if len(faults) == 2 else 'are'} wrong." if len(faults) > 1 else ""
    message = f"workspace-config.yaml, line {first['line']}, column {first['column']}: {key}{first['message']}"
    return InvalidInput(
        "config-invalid",
        f"{message.rstrip('.')}{'' if message.endswith('?') else '.'}{more}",
        hint="Nothing was changed." + (" `errors` lists each fault with its line." if len(faults) > 1 else ""),
        errors=faults[:_MOST_FAULTS],
    )
