"""Settings of the batch engine: what is refused, with words, before anything runs."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from studiolo.contract.errors import InvalidInput
from studiolo.engines.plugins import EngineGround, find_plugin
from studiolo.engines.slurm.commands import Commands, first_line
from studiolo.engines.slurm.dialect import Command
from studiolo.engines.slurm.plugin import PLUGIN
from studiolo.engines.slurm.settings import BatchOptions, BatchSettings

GROUND = EngineGround(data_dir=Path("/data"), sockets=Path("/run/s"), instance="0a1b2c3d", address="http://localhost")


def build(**settings: Any) -> Any:
    return PLUGIN.build(GROUND, BatchSettings.model_validate(settings))


def test_the_plug_in_is_found_by_its_name() -> None:
    assert find_plugin("slurm") is PLUGIN


@pytest.mark.parametrize(
    "word", ["--job-name=x", "--job=x", "-Jx", "-J", "--export=ALL", "--uid=0", "-pgpu", "--wrap=x"]
)
def test_an_extra_argument_that_is_ours_is_refused(word: str) -> None:
    with pytest.raises(InvalidInput, match="is for the platform to set"):
        build(extra=[word])


def test_other_extra_arguments_pass() -> None:
    assert build(extra=["--exclusive=user", "--nice=100", "-x", "n7"])


@pytest.mark.parametrize(
    "settings",
    [
        {"partition": "--uid=0"},
        {"account": "a\nb"},
        {"prefix": ["ssh", "a\x00b"]},
        {"colour": "red"},
        {"system": "cron"},
        {"node_address": "{host};rm"},
        {"variables": {"A=B": "c"}},
        {"poll_seconds": 0},
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        BatchSettings.model_validate(settings)


def test_a_system_is_not_asked_for_what_it_does_not_have() -> None:
    with pytest.raises(InvalidInput, match="PBS knows no qos"):
        build(system="pbs", qos="high")


def test_a_profile_comes_before_the_settings() -> None:
    settings = BatchSettings(partition="cpu", account="lab")
    merged = settings.options_with(BatchOptions(partition="gpu"))
    assert merged == BatchOptions(partition="gpu", account="lab")


def test_words_are_quoted_for_the_shell_at_the_other_end_of_ssh_only() -> None:
    command = Command(("sbatch", "--chdir=/a b;c"), variables=(("SLURM_TIME_FORMAT", "%s"),))
    over_ssh = Commands(["ssh", "login"], {"SLURM_CONF": "/etc/slurm.conf"}, 5).line(command)
    assert over_ssh == ("ssh", "login", "env SLURM_CONF=/etc/slurm.conf SLURM_TIME_FORMAT=%s sbatch '--chdir=/a b;c'")
    as_other = Commands(["sudo", "-n"], {}, 5).line(command)
    assert as_other == ("sudo", "-n", "env", "SLURM_TIME_FORMAT=%s", "sbatch", "--chdir=/a b;c")


def test_the_first_line_of_an_error_is_said_without_the_programs_name() -> None:
    assert first_line("\nsbatch: error: invalid partition specified: x\nmore") == "invalid partition specified: x"
    assert first_line("Permission denied.") == "Permission denied"
