"""Commands on what a workspace's sessions may use, and on the sizes there are."""

from studiolo.cli.amounts import (
    CPUOption,
    DiskOption,
    EngineOption,
    GPUOption,
    GPUTypeOption,
    ImageOption,
    IsolationOption,
    MemoryOption,
    ProfileOption,
    TimeLimitOption,
    VolumeOption,
    asked_for,
    describe,
)
from studiolo.cli.arguments import RestartOption, WorkspaceArgument
from studiolo.cli.invocation import connect, current
from studiolo.cli.output import emit, print_fields, say
from studiolo.cli.tables import print_table
from studiolo.contract.errors import InvalidInput
from studiolo.contract.resources import Resources, WorkspaceLimits
from studiolo.contract.sizes import used_of
from studiolo.sdk import Studiolo

_ALIVE = ("starting", "running")


def limits(workspace: WorkspaceArgument) -> None:
    """Show what a workspace's sessions may use, where that comes from, and what enforces it."""
    with connect() as client:
        found = client.workspaces.limits(workspace)
    emit(found, lambda: _print_limits(found))


def scale(
    workspace: WorkspaceArgument,
    cpu: CPUOption = None,
    memory: MemoryOption = None,
    gpu: GPUOption = None,
    gpu_type: GPUTypeOption = None,
    disk: DiskOption = None,
    image: ImageOption = None,
    time_limit: TimeLimitOption = None,
    profile: ProfileOption = None,
    engine: EngineOption = None,
    min_isolation: IsolationOption = None,
    volume: VolumeOption = None,
    restart: RestartOption = False,
) -> None:
    """Change what a workspace's sessions may use and where they run, from their next start on.

    `--engine ""` goes back to the platform's default engine, `--volume ""` attaches none.

    \b
    Examples:
      studiolo scale churn --cpu=8 --memory=16g
      studiolo scale churn --profile large --restart
      studiolo scale churn --engine slurm --time-limit 8h
      studiolo scale churn --volume reference-genomes --volume results
    """
    wanted = asked_for(
        cpu=cpu, memory=memory, gpu=gpu, gpu_type=gpu_type, disk=disk, image=image, time_limit=time_limit
    )
    if wanted is None and all(one is None for one in (profile, engine, min_isolation, volume)):
        raise InvalidInput("usage-invalid", "Nothing to change.", hint="Give --cpu, --memory, --profile, --engine …")
    with connect() as client:
        scaled = client.workspaces.scale(
            workspace, wanted, profile=profile, engine=engine, min_isolation=min_isolation, volumes=volume
        )
        running = _running(client, workspace)
        for session in running if restart else []:
            client.sessions.restart(session)
    emit(scaled, lambda: _print_limits(scaled))
    if running and restart:
        say(f"Restarted {len(running)} running session{'s' if len(running) > 1 else ''}.")
    elif running:
        say(f"Running sessions keep what they have: {current().program} scale … --restart restarts them.")


def profiles() -> None:
    """List the sizes that sessions can be launched with."""
    with connect() as client:
        found = client.platform.profiles()
    rows = [
        (
            f"{profile.name} (default)" if profile.name == found.default else profile.name,
            describe(profile.resources) or "no limits of its own",
            ", ".join(
                filter(
                    None,
                    (
                        f"Deprecated: {profile.deprecated}" if profile.deprecated else "",
                        profile.title or profile.description,
                        _too_large(profile.resources, found.largest),
                    ),
                )
            ),
        )
        for profile in found.profiles
    ]

    def text() -> None:
        print_table(("PROFILE!", "RESOURCES", "FOR"), rows, empty="No profiles are defined.")
        if largest := describe(found.largest):
            say(f"The most that may be asked for: {largest}.")
        for name, words in found.gpu_types.items():
            say(f"Type of GPU: {name}" + (f" ({words})" if words else ""))
        if found.only_profiles:
            say("Only profiles can be asked for here, no free numbers.")

    emit(found, text)


def volumes() -> None:
    """List the volumes that workspaces may attach: studiolo scale WORKSPACE --volume NAME attaches one."""
    with connect() as client:
        found = client.platform.profiles().volumes
    rows = [
        (one.name, "read-only" if one.read_only else "writable", ", ".join(one.engines) or "none", one.description)
        for one in found
    ]
    emit(found, lambda: print_table(("VOLUME!", "USE!", "ENGINES", "DESCRIPTION"), rows, empty="No volumes."))


def _too_large(asked: Resources, largest: Resources) -> str:
    """Say so of a profile that no session can be launched with here."""
    pairs = [(asked.cpu, largest.cpu), (asked.memory, largest.memory), (asked.gpu, largest.gpu)]
    return "more than there is here" if any(a is not None and b is not None and a > b for a, b in pairs) else ""


def _print_limits(found: WorkspaceLimits) -> None:
    used = ""
    if found.disk_used is not None:
        how = "held by the file system" if found.disk_held else "measured, not limited"
        used = f"{used_of(found.disk_used, found.resources.disk)} used; {how}"
    print_fields(
        (
            ("Next session", describe(found.resources) or "as much as there is"),
            ("Profile", found.profile or ""),
            ("Own numbers", describe(found.own)),
            ("The most", describe(found.largest)),
            ("Engine", found.engine),
            ("Isolation", f"at least {found.min_isolation}" if found.min_isolation else ""),
            ("Volumes", ", ".join(found.volumes)),
            ("Enforced", found.enforcement.note),
            ("Disk", used),
        )
    )


def _running(client: Studiolo, workspace: str) -> list[str]:
    held = client.sessions.list(workspace=workspace, states=_ALIVE, page_size=200)
    return [session.id for session in held]
