"""The plug-in of the engine `slurm`, see `studiolo.engines.plugins`."""

from collections.abc import Collection

from studiolo.contract.errors import InvalidInput
from studiolo.engines.plugins import EngineGround, EnginePlugin
from studiolo.engines.slurm.commands import Commands
from studiolo.engines.slurm.engine import BatchEngine
from studiolo.engines.slurm.rest import SlurmREST
from studiolo.engines.slurm.rest_client import RestClient
from studiolo.engines.slurm.settings import BatchSettings, RestSettings
from studiolo.engines.slurm.systems import dialect_for


def build(ground: EngineGround, settings: BatchSettings) -> BatchEngine:
    """Return the engine. Does no I/O. Raises InvalidInput (`settings-invalid`) for an option that cannot be."""
    if settings.rest is not None:
        return _build_rest(ground, settings, settings.rest)
    dialect = dialect_for(settings.system)
    for word in settings.extra:
        if (ours := find_own(word, dialect.own_options)) is not None:
            raise InvalidInput(
                "settings-invalid",
                f"engines.slurm.extra has {word!r}, but {ours} is for the platform to set.",
                hint="Use the setting for it if there is one (partition, account, qos, constraint, time_limit), "
                "or leave it out.",
            )
    try:
        dialect.check(settings)
    except ValueError as exc:
        raise InvalidInput("settings-invalid", f"engines.slurm: {exc}.", hint="Leave it out.") from exc
    runner = Commands(settings.prefix, settings.variables, settings.timeout_seconds)
    return BatchEngine(ground, settings, dialect, runner)


def _build_rest(ground: EngineGround, settings: BatchSettings, rest: RestSettings) -> BatchEngine:
    given = [name for name in ("prefix", "variables", "extra") if getattr(settings, name)]
    if settings.system != "slurm" or given:
        wrong = f"system = {settings.system!r}" if settings.system != "slurm" else given[0]
        raise InvalidInput(
            "settings-invalid",
            f"engines.slurm.rest is Slurm's REST daemon, which knows nothing of {wrong}.",
            hint=f"Leave out rest, or {wrong}.",
        )
    dialect = SlurmREST(holds_limits=rest.holds_limits)
    return BatchEngine(ground, settings, dialect, RestClient(rest, settings.timeout_seconds))


def find_own(word: str, own_options: Collection[str]) -> str | None:
    """Return which of our options a word of a command line is, also cut short (`--part=x`) or joined (`-px`)."""
    name = word.partition("=")[0]
    if name.startswith("--"):
        return next((own for own in sorted(own_options) if own.startswith(name)), None)
    return next((own for own in sorted(own_options) if not own.startswith("--") and name.startswith(own)), None)


PLUGIN = EnginePlugin("slurm", BatchSettings, build)
