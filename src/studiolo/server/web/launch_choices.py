"""What the form "Open with…" offers: sizes, whether each could start now, and what a choice would start. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from pydantic import ValidationError

from studiolo.contract.errors import InvalidInput, StudioloError
from studiolo.contract.models import Session, SessionLaunch, Workspace
from studiolo.contract.resources import EngineInfo, Resources
from studiolo.contract.sizes import format_size
from studiolo.server.engines.engines import Images
from studiolo.server.settings.resources import ResourceSettings
from studiolo.server.web import amounts, forms
from studiolo.server.workspaces.allowance import decide_allowance, find_profile

NUMBERS = ("cpu", "memory", "gpu")
_RESOURCES = (*NUMBERS, "disk", "image", "time_limit")
_FIELDS = ("profile", "engine", *_RESOURCES, "name")
_NAMES = {
    **{"cpu": "CPU", "gpu": "GPUs", "memory": "Memory"},
    **{"disk": "Disk", "image": "Image", "time_limit": "Time limit"},
}


@dataclass(frozen=True, slots=True)
class Choice:
    """The form as it was filled: texts, empty where nothing is chosen.

    `profile` and `engine` empty: as the workspace says. `disk`: of workspaces, not of a launch.
    """

    profile: str = ""
    cpu: str = ""
    memory: str = ""
    gpu: str = ""
    name: str = ""
    engine: str = ""
    image: str = ""
    time_limit: str = ""
    disk: str = ""

    @property
    def query(self) -> str:
        """The filled form as the query of its address."""
        return urlencode({key: value for key in _FIELDS if (value := getattr(self, key).strip())})

    def read(self, workspace: str, password: str | None = None) -> SessionLaunch:
        """Return the request; raises InvalidInput that names the wrong field."""
        numbers = {key: value for key in _RESOURCES if (value := getattr(self, key).strip())}
        try:
            own = Resources.model_validate(numbers)
        except ValidationError as exc:
            first = exc.errors()[0]
            field = _NAMES[str(first["loc"][0])]
            message = first["msg"].removeprefix("Value error, ")
            raise InvalidInput("request-invalid", f"{field}: {message[0].lower()}{message[1:]}.") from exc
        return forms.read(
            SessionLaunch,
            workspace=workspace,
            name=self.name.strip() or None,
            profile=self.profile or None,
            engine=self.engine or None,
            resources=own,
            password=password,
        )


@dataclass(frozen=True, slots=True)
class Tile:
    """One size. `free`: whether it starts at once; `refusal`: why it does not."""

    value: str
    title: str
    amount: str
    note: str
    refusal: str | None
    warning: str = ""


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a choice would do: the sentence, or why it is refused; and the same as commands."""

    sentence: str
    refusal: str | None
    hint: str | None
    command: str
    python: str


def last_choice(last: Session | None, settings: ResourceSettings) -> Choice:
    """Return the form as last filled: what the person's last session here had been given."""
    if last is None or last.profile is None:
        return Choice()
    try:
        profile = find_profile(last.profile, settings)
    except InvalidInput:
        return Choice()
    usual = profile.resources if profile else Resources()
    different = {
        key: _text(key, value)
        for key in NUMBERS
        if (value := getattr(last.resources, key)) and value != getattr(usual, key)
    }
    return Choice(profile=last.profile, **({} if settings.only_profiles else different))


def list_tiles(workspace: Workspace, settings: ResourceSettings, engine: EngineInfo) -> list[Tile]:
    """Return the sizes: as the workspace says, then each profile."""
    usual = _tile("", "As the workspace", workspace.profile, _own_of(workspace, settings), settings, engine)
    named = [
        replace(_tile(one.name, one.title or one.name, one.name, Resources(), settings, engine), warning=one.deprecated)
        for one in settings.profiles
    ]
    return [usual, *named]


def foresee(
    choice: Choice,
    workspace: Workspace,
    settings: ResourceSettings,
    engine: EngineInfo,
    *,
    running: int,
    most: int,
    refused: StudioloError | None = None,
) -> Outlook:
    """Return what the choice would start. `running` of `most` sessions are the person's already.

    `refused`: why it cannot run on the engine that was chosen.
    """
    reference = f"{workspace.owner.name}/{workspace.name}"
    name, own, sentence = choice.name.strip() or None, Resources(), ""
    refusal: str | None = None
    hint: str | None = None
    try:
        own = choice.read(workspace.id).resources
        if refused is not None:
            raise refused
        profile = choice.profile or workspace.profile
        wanted = own if choice.profile else own.over(_own_of(workspace, settings))
        allowed = _allow(profile, wanted, settings, engine)
    except StudioloError as problem:
        refusal, hint = problem.message, problem.hint
    else:
        sentence = _sentence(allowed, engine.name, most - running - 1, most)
        if running >= most:
            sentence, hint = "", "Stop one first."
            refusal = f"You have {most} sessions running, which is the limit for one person."
    return Outlook(
        sentence=sentence,
        refusal=refusal,
        hint=hint,
        command=amounts.as_command(reference, choice.profile or None, own, name, engine=choice.engine or None),
        python=amounts.as_python(reference, choice.profile or None, own, name, engine=choice.engine or None),
    )


def more_memory(session: Session) -> int | None:
    """Return twice the memory that a session ran out of, None where it had no limit of its own."""
    candidates = (
        session.reason.memory_limit if session.reason else None,
        session.last_death.limit if session.last_death else None,
        session.resources.memory,
    )
    limit = next((amount for amount in candidates if amount), None)
    return limit * 2 if limit else None


def choice_of(values: Mapping[str, str]) -> Choice | None:
    """Return the form that an address holds, None if it holds none."""
    given = {key: value for key in _FIELDS if (value := values.get(key)) is not None}
    return Choice(**given) if given else None


def _sentence(allowed: Resources, engine: str, left: int, most: int) -> str:
    what = amounts.describe(allowed)
    return (
        f"Starts {'without limits' if what == amounts.UNLIMITED else what} on {engine}; "
        f"leaves you {left} {'session' if left == 1 else 'sessions'} of {most}."
    )


def _own_of(workspace: Workspace, settings: ResourceSettings) -> Resources:
    """The workspace's numbers; where only profiles are allowed its profile alone counts."""
    return Resources() if settings.only_profiles else workspace.resources


def _tile(
    value: str, title: str, profile: str | None, own: Resources, settings: ResourceSettings, engine: EngineInfo
) -> Tile:
    try:
        allowed = _allow(profile, own, settings, engine)
    except StudioloError as problem:
        asked = own
        if any(one.name == profile for one in settings.profiles):
            found = find_profile(profile, settings)
            asked = own.over(found.resources) if found else own
        return Tile(value, title, amounts.describe(asked), _lack(problem, asked, engine), problem.message)
    return Tile(value, title, amounts.describe(allowed), "starts at once", None)


def _lack(problem: StudioloError, asked: Resources, engine: EngineInfo) -> str:
    if problem.code != "capacity-exceeded":
        return "not on this machine"
    has = engine.capacity
    pairs = ((asked.cpu, has.cpu), (asked.memory, has.memory), (asked.gpu, has.gpu))
    is_larger = any(wanted and there is not None and wanted > there for wanted, there in pairs)
    return "more than this machine" if is_larger else "none free now"


def _allow(profile: str | None, own: Resources, settings: ResourceSettings, engine: EngineInfo) -> Resources:
    return decide_allowance(
        profile=profile,
        own=own,
        settings=settings,
        machine=engine.capacity,
        images=Images(engine.images),
        check_free=True,
    )


def _text(key: str, value: float) -> str:
    return format_size(int(value)) if key == "memory" else f"{value:g}"
