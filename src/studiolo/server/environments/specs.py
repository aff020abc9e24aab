"""What people may write for a package: a name, extras, versions. Nothing that leads past the index."""

from collections.abc import Iterable

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from studiolo.contract.environments import PackageInstall
from studiolo.contract.errors import InvalidInput

_HINT = "Write a name, or a name with versions: numpy, pandas==2.0.0, 'scikit-learn>=1.5,<2'."
_MOST_SHOWN = 80


def read_specs(form: PackageInstall, of_file: Iterable[str] = ()) -> list[str]:
    """Return the packages that a form asks for, canonical and without repetitions.

    Raises InvalidInput (`package-invalid`, `request-invalid` when it names none).
    """
    wanted = [*form.packages, *of_file]
    if form.package is not None:
        wanted.insert(0, _with_version(form.package, form.version))
    elif form.version is not None:
        raise InvalidInput("request-invalid", "A version came without a package.", hint=_HINT)
    if not wanted:
        raise InvalidInput("request-invalid", "No package is named.", hint=_HINT)
    return list(dict.fromkeys(str(read_spec(text)) for text in wanted))


def read_spec(text: str) -> Requirement:
    """Return a requirement with its name in canonical form. Raises InvalidInput (`package-invalid`)."""
    shown = text.strip()[:_MOST_SHOWN]
    if not text.strip() or text.lstrip().startswith(("-", ".", "/", "~")) or "\n" in text.strip():
        raise InvalidInput("package-invalid", f"{shown!r} names no package.", hint=_HINT)
    try:
        found = Requirement(text.strip())
    except InvalidRequirement as exc:
        raise InvalidInput("package-invalid", f"{shown!r} names no package.", hint=_HINT) from exc
    if found.url is not None:
        raise InvalidInput(
            "package-invalid",
            f"{shown!r} leads to an address; packages come from the platform's index alone.",
            hint="Ask an administrator to offer it in an index of your own.",
        )
    if found.marker is not None:
        raise InvalidInput("package-invalid", f"{shown!r} has a condition (after ';').", hint=_HINT)
    found.name = canonicalize_name(found.name)
    return found


def read_names(texts: Iterable[str]) -> list[str]:
    """Return names of packages to remove, canonical. Raises InvalidInput (`package-invalid`)."""
    found = [read_spec(text) for text in texts]
    if narrowed := next((one for one in found if one.specifier or one.extras), None):
        raise InvalidInput("package-invalid", f"{str(narrowed)!r} is more than a name.", hint="Remove it by its name.")
    return list(dict.fromkeys(one.name for one in found))


def _with_version(package: str, version: str | None) -> str:
    if version is None:
        return package
    found = read_spec(package)
    if found.specifier:
        raise InvalidInput("package-invalid", f"{package[:_MOST_SHOWN]!r} has a version already.", hint=_HINT)
    return f"{package}=={version}" if version[:1].isalnum() else f"{package}{version}"
