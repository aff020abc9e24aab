"""What a launch is told of an environment that cannot be mounted where it runs."""

import json
from pathlib import Path

from studiolo.packages.installed.lock import Lock, LockedPackage
from studiolo.packages.installed.snapshots import Orphan
from studiolo.runtime.recipes import Pin
from studiolo.server.environments.base import SHIPPED_LOCK
from studiolo.server.environments.elsewhere import recipe_of
from studiolo.server.packages.base_files import BaseFiles

A, B = "a" * 64, "b" * 64


def lock_of(*packages: LockedPackage, orphans: tuple[Orphan, ...] = ()) -> Lock:
    return Lock("default", "base", "3.11", packages, orphans)


def test_what_the_index_delivered_is_pinned_by_its_file_and_the_base_by_all_of_the_version() -> None:
    added = LockedPackage("pypi", "tiny", "1.0", A, "delivered", "tiny-1.0-py3-none-any.whl", B, "default")
    base = LockedPackage("pypi", "basic", "2.0", A, "base")
    lock = lock_of(added, base)
    recipe = recipe_of(lock, {("basic", "2.0"): (A, B)})
    assert (recipe.hash, recipe.python) == (lock.hash, "3.11")
    assert recipe.added == (Pin("tiny", "1.0", (B,)),)
    assert recipe.base == (Pin("basic", "2.0", (A, B)),)
    assert recipe.left_out == ()


def test_what_nobody_can_have_again_is_named_and_not_asked_for() -> None:
    recipe = recipe_of(
        lock_of(
            LockedPackage("pypi", "own", "1.0", A, "unproven"),
            LockedPackage("conda", "gdal", "3.0", A, "delivered", "gdal.conda", A, "forge"),
            LockedPackage("pypi", "sly\n--index-url=http://x", "1.0", A, "delivered", "f.whl", A, "default"),
            LockedPackage("pypi", "studiolo", "0.1", A, "base"),
            orphans=(Orphan("lib/loose.py", A),),
        ),
        {},
    )
    assert (recipe.base, recipe.added) == ((), ())
    assert recipe.left_out == ("own", "gdal", "sly\n--index-url=http://x", "lib/loose.py")


def test_a_base_of_very_many_files_is_pinned_by_versions_alone() -> None:
    base = LockedPackage("pypi", "basic", "2.0", A, "base")
    assert recipe_of(lock_of(base), {("basic", "2.0"): (A,) * 6001}).base == (Pin("basic", "2.0"),)


def test_names_that_people_gave_to_files_do_not_fill_a_launch() -> None:
    orphans = tuple(Orphan(f"lib/{number}/{'x' * 3000}", A) for number in range(1000))
    recipe = recipe_of(lock_of(orphans=orphans), {})
    # An object of a cluster, of which this is a part, holds a mebibyte.
    assert len(recipe.left_out) == 1000
    assert len(json.dumps(recipe.left_out)) < 128 * 1024


async def test_each_version_of_the_shipped_base_has_its_hashes() -> None:
    hashes = await BaseFiles(Path(SHIPPED_LOCK)).hashes()
    version = next(version for name, version in hashes if name == "ipykernel")
    assert len(hashes["ipykernel", version]) == 2
    assert all(hashes.values())
