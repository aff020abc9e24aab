"""What a workspace-config.yaml and the body of a request may say alike: one reader per key, each from text.

A reader returns the value or raises ValueError with a sentence that says what would be right.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, get_args

from studiolo.contract.details import EnvironmentConfig, Security, WorkspaceConfig
from studiolo.contract.durations import parse_seconds
from studiolo.contract.errors import InvalidInput
from studiolo.contract.models import WorkspaceCreate
from studiolo.contract.resources import Isolation
from studiolo.contract.sizes import parse_size
from studiolo.packages.policy.rules import read_channel, read_entry

_NUMBER = re.compile(r"\d{1,6}(\.\d{1,6})?")
_PYTHON = re.compile(r"3(\.\d{1,3}){0,2}")
_RELEASE = re.compile(r"\d{1,4}(\.\d{1,4}){0,3}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,199}")
# The platform's own, and the one with which the session's server would not start.
_RESERVED = ("STUDIOLO_", "PYTHONHOME")
_LONGEST_VALUE = 32_768
_MOST_VARIABLES = 500
MOST_NAMES = 1000
MOST_VOLUMES = 20


def read_cpu(text: str) -> float:
    """Processors: 0.01 to 4096."""
    if not _NUMBER.fullmatch(text) or not 0.01 <= float(text) <= 4096:
        raise ValueError(f"{text[:40]!r} is no number of processors: write one such as 4 or 0.5")
    return float(text)


def read_gpu(text: str) -> int:
    """GPUs: 0 to 64."""
    if not text.isascii() or not text.isdecimal() or len(text) > 2 or int(text) > 64:
        raise ValueError(f"{text[:40]!r} is no number of GPUs: write a whole one from 0 to 64")
    return int(text)


def _read_word(longest: int) -> Callable[[str], str]:
    def read(text: str) -> str:
        if not text or len(text) > longest or not text.isprintable() or " " in text:
            raise ValueError(f"must be one word of at most {longest} characters")
        return text

    return read


def read_python_version(text: str) -> str:
    """A version of Python 3, as text: 3.10 is not 3.1."""
    if not _PYTHON.fullmatch(text):
        raise ValueError(f'{text[:40]!r} is no version of Python 3: write one such as "3.11"')
    return text


def read_jupyter_version(text: str) -> str:
    """`latest` or a release of JupyterLab."""
    if text != "latest" and not _RELEASE.fullmatch(text):
        raise ValueError(f'{text[:40]!r} is no version of JupyterLab: write "latest" or one such as "4.4"')
    return text


def check_variable(name: str, value: str) -> None:
    """Raise ValueError for what cannot be an environment variable of a session."""
    if not _VARIABLE.fullmatch(name):
        raise ValueError("is no name of an environment variable: letters, digits and _ only, no digit first")
    if name.upper().startswith(_RESERVED):
        raise ValueError("is a variable that the platform keeps for itself")
    if len(value) > _LONGEST_VALUE or "\0" in value or any("\ud800" <= sign <= "\udfff" for sign in value):
        raise ValueError(f"its value must be text of at most {_LONGEST_VALUE} characters without NUL")


RESOURCES: dict[str, Callable[[str], Any]] = {
    "cpu": read_cpu,
    "memory": parse_size,
    "gpu": read_gpu,
    "gpu_type": _read_word(100),
    "disk": parse_size,
    "image": _read_word(500),
    "time_limit": parse_seconds,
}
RESERVED_KEYS: dict[str, Callable[[str], str]] = {
    "python_version": read_python_version,
    "jupyter_version": read_jupyter_version,
    "base": _read_word(63),
}
read_profile = _read_word(63)
read_engine = _read_word(32)
read_volume = _read_word(63)


def read_isolation(text: str) -> str:
    """A level of isolation: L0 to L4."""
    if text not in get_args(Isolation):
        raise ValueError(f"{text[:40]!r} is no level of isolation: write one of {', '.join(get_args(Isolation))}")
    return text


def read_blocked(text: str) -> str:
    """An entry of a list of blocked packages, as it was written."""
    return read_entry(text, "").entry


SECURITY: dict[str, Callable[[str], str]] = {"trusted_channels": read_channel, "blocked_packages": read_blocked}


def check_count(count: int, what: str) -> None:
    """Raise ValueError for too many `variables` or `names`."""
    most = _MOST_VARIABLES if what == "variables" else MOST_NAMES
    if count > most:
        raise ValueError(f"holds {count} {what}; {most} are possible")


def configuration_of(form: WorkspaceCreate, of_file: WorkspaceConfig) -> WorkspaceConfig:
    """Return the members of a request over those of its `config_file`.

    Raises InvalidInput (`request-invalid`) that lists each wrong key of `environment` and `security`.
    """
    environment, security = _read_environment(form.environment), _read_security(form.security)
    return WorkspaceConfig(
        profile=form.profile or of_file.profile,
        resources=form.resources.over(of_file.resources),
        environment=EnvironmentConfig(
            python_version=environment.python_version or of_file.environment.python_version,
            jupyter_version=environment.jupyter_version or of_file.environment.jupyter_version,
            base=environment.base or of_file.environment.base,
            variables=of_file.environment.variables | environment.variables,
        ),
        security=of_file.security.model_copy(update=security.model_dump(exclude_none=True)),
        engine=form.engine or of_file.engine,
        min_isolation=form.min_isolation or of_file.min_isolation,
        volumes=of_file.volumes,
    )


def _read_environment(values: Mapping[str, Any]) -> EnvironmentConfig:
    reserved: dict[str, str] = {}
    variables: dict[str, str] = {}
    wrong: dict[str, str] = {}
    for key, value in values.items():
        try:
            if not isinstance(value, str):
                raise ValueError("must be text; a version too, since 3.10 as a number is 3.1")
            if key in RESERVED_KEYS:
                reserved[key] = RESERVED_KEYS[key](value)
            else:
                check_variable(key, value)
                check_count(len(variables) + 1, "variables")
                variables[key] = value
        except ValueError as exc:
            wrong[f"environment.{key[:80]}"] = str(exc)
    _refuse(wrong)
    return EnvironmentConfig(**reserved, variables=variables)


def _read_security(values: Mapping[str, Any]) -> Security:
    wrong: dict[str, str] = {}
    for key, value in values.items():
        try:
            if key not in SECURITY:
                raise ValueError(f"is not known; there are {' and '.join(SECURITY)}")
            if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
                raise ValueError('must be a list of names such as ["conda-forge"]')
            check_count(len(value), "names")
            for name in value:
                SECURITY[key](name)
        except ValueError as exc:
            wrong[f"security.{key[:80]}"] = str(exc)
    _refuse(wrong)
    return Security(**values)


def _refuse(wrong: Mapping[str, str]) -> None:
    if wrong:
        errors = [{"location": where, "message": words} for where, words in list(wrong.items())[:50]]
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        first = errors[0]
        raise InvalidInput("request-invalid", f"{first['location']}: {first['message']}{more}.", errors=errors)
