"""Requests for packages in words."""

from studiolo.cli.output import ago
from studiolo.contract.requests import ClosurePackage, PackageRequest
from studiolo.contract.sizes import describe_size


def how_it_goes(one: PackageRequest) -> str:
    """Say in a few words how far a request came."""
    if one.state == "pending":
        return f"waits, {ago(one.asked_at)}"
    if one.state == "denied":
        return f"denied: {one.reason}"
    if one.state == "withdrawn":
        return "withdrawn"
    installed = {"wanted": "being installed", "building": "being installed", "installed": "installed"}
    if one.install_state == "failed":
        return f"approved, not installed: {one.install_message}"
    return f"approved, {installed.get(one.install_state or '', 'not installed')}"


def review_of(one: PackageRequest) -> str:
    """Say in a few words what a request would bring."""
    if one.closure.state == "pending":
        return "being worked out"
    if one.closure.state == "unknown":
        return "unknown"
    new = [package for package in one.closure.packages if not package.is_there]
    sizes = [package.size_bytes for package in new]
    size = describe_size(sum(size for size in sizes if size)) if all(sizes) and sizes else "size unknown"
    return f"{len(new)} {'package' if len(new) == 1 else 'packages'}, {size}"


def describe(one: PackageRequest) -> tuple[list[tuple[str, str]], list[tuple[str, ...]]]:
    """Return a request as fields, and its closure as rows of a table."""
    fields = [
        ("Package", f"{one.name}{one.specifier} ({one.ecosystem})"),
        ("Workspace", f"{one.workspace.owner}/{one.workspace.name}"),
        ("State", how_it_goes(one)),
        ("Rule", f"{one.judged.rule or one.judged.code}, {one.judged.source or 'policy'}"),
        ("Because", one.judged.because),
        ("Asked by", "\n".join(_asker(one))),
        ("Brings", one.closure.message or review_of(one)),
    ]
    return fields, [_row(package) for package in one.closure.packages if not package.is_there]


def _asker(one: PackageRequest) -> list[str]:
    return [
        f"{asker.person.display_name}{f' ({asker.specifier})' if asker.specifier else ''}: "
        f"{asker.purpose or 'no purpose given'}"
        for asker in one.people
    ]


def _row(package: ClosurePackage) -> tuple[str, ...]:
    found = package.vulnerabilities
    return (
        package.name,
        package.version,
        "allowed" if package.judged.verdict == "allow" else package.judged.code,
        "unknown" if package.size_bytes is None else describe_size(package.size_bytes),
        ago(package.uploaded_at) or "unknown",
        package.licence or "unknown",
        package.maintainers or "unknown",
        "unknown" if found is None else ", ".join(found) or "none known",
    )
