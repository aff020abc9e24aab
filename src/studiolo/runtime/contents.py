"""Files of a session: what the notebook format asks for beyond its schema is looked at too."""

from collections import Counter
from typing import Any

from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager


class WorkspaceContents(AsyncLargeFileManager):
    """Reads and writes as jupyter_server does; says in a notebook's `message` when two cells have the same name.

    Source: nbformat 4, cell metadata: `name` is "unique among all cells, verified outside of the JSON schema".
    """

    def validate_notebook_model(
        self, model: dict[str, Any], validation_error: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Called for each notebook that is read or written; a faulty one is kept all the same."""
        super().validate_notebook_model(model, validation_error)  # type: ignore[no-untyped-call]
        content = model.get("content")
        if "message" not in model and content is not None and (doubled := _doubled_names(content.get("cells", ()))):
            model["message"] = (
                f"Notebook validation failed: several cells are named {', '.join(map(repr, doubled))}. "
                "Names of cells (metadata.name) must differ."
            )
        return model


def _doubled_names(cells: Any) -> list[str]:
    names = Counter(name for cell in cells if isinstance(name := cell.get("metadata", {}).get("name"), str))
    return [name for name, count in names.items() if count > 1]
