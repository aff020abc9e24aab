"""Commands on datasets: folders of the platform's machine that sessions may read."""

from typing import Annotated

import typer

from studiolo.cli.invocation import connect, current
from studiolo.cli.output import emit, say
from studiolo.cli.tables import print_table
from studiolo.cli.trash import confirm
from studiolo.contract.datasets import Dataset
from studiolo.contract.errors import InvalidInput

DatasetArgument = Annotated[str, typer.Argument(metavar="DATASET", help="Its name or id.", show_default=False)]
FolderOption = Annotated[str | None, typer.Option("--folder", metavar="FOLDER", help="Another folder.")]
DescriptionOption = Annotated[str | None, typer.Option("--description", metavar="TEXT", help="What it holds.")]
EverybodyOption = Annotated[
    bool | None, typer.Option("--everybody/--not-everybody", help="Whether everybody may read it.")
]
ReaderOption = Annotated[
    list[str] | None, typer.Option("--reader", metavar="PERSON", help="Who may read it; again for each.")
]
ForOption = Annotated[
    list[str] | None,
    typer.Option("--for", metavar="WORKSPACE", help="A workspace whose sessions may read it; again for each."),
]


def list_(
    everything: Annotated[bool, typer.Option("--all", help="All of the platform (administrators).")] = False,
) -> None:
    """List the datasets that you may read. In a session they lie in $STUDIOLO_DATASETS."""
    with connect() as client:
        found = list(client.datasets.list(everything=everything, page_size=200))
    rows = [(one.name, _readers(one), one.folder or "", one.description.replace("\n", " ")) for one in found]
    emit(found, lambda: print_table(("NAME!", "READERS", "FOLDER", "DESCRIPTION"), rows, empty="No datasets."))


def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name under which sessions see it.")],
    folder: Annotated[str, typer.Argument(metavar="FOLDER", help="A folder of the platform's machine.")],
    description: DescriptionOption = None,
    everybody: EverybodyOption = None,
    reader: ReaderOption = None,
    for_: ForOption = None,
) -> None:
    """Register a folder of the platform's machine as a dataset (administrators).

    \b
    Examples:
      studiolo datasets add billing /srv/data/billing --everybody
      studiolo datasets add salaries /srv/data/hr --reader ana --for mia/planning
    """
    with connect() as client:
        made = client.datasets.create(
            name,
            folder,
            description=description or "",
            everybody=bool(everybody),
            people=reader or [],
            workspaces=for_ or [],
        )
    emit(made, lambda: print(f"Registered {made.name}: {_readers(made)} may read {made.folder}."))
    if not current().json:
        say("Sessions that start from now on have it in $STUDIOLO_DATASETS and, where a workspace may, in datasets/.")


def change(
    dataset: DatasetArgument,
    folder: FolderOption = None,
    description: DescriptionOption = None,
    everybody: EverybodyOption = None,
    reader: ReaderOption = None,
    for_: ForOption = None,
) -> None:
    """Change a dataset (administrators). Readers given replace those before; running sessions see it at once."""
    if all(value in (None, []) for value in (folder, description, everybody, reader, for_)):
        raise InvalidInput("usage-invalid", "Nothing to change.", hint="Give --folder, --description or readers.")
    with connect() as client:
        changed = client.datasets.update(
            dataset,
            folder=folder,
            description=description,
            everybody=everybody,
            people=reader or None,
            workspaces=for_ or None,
        )
    emit(changed, lambda: print(f"Changed {changed.name}: {_readers(changed)} may read {changed.folder}."))


def remove(
    dataset: DatasetArgument,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Take a dataset off the register (administrators); its folder stays as it is."""
    if not yes:
        confirm(f"Take {dataset} off the register? Sessions can no longer find it.", what=f"Removing {dataset}")
    with connect() as client:
        client.datasets.delete(dataset)
    emit({"dataset": dataset, "removed": True}, lambda: print(f"Removed {dataset}; its folder stays."))


def _readers(dataset: Dataset) -> str:
    if dataset.everybody:
        return "everybody"
    if dataset.people is None or dataset.workspaces is None:
        return "you"
    names = [person.name for person in dataset.people] + [f"{one.owner}/{one.name}" for one in dataset.workspaces]
    return ", ".join(names) or "nobody"
