"""Raw cells keep the format that the notebook format gives them when a notebook is converted."""

from typing import Any

from nbconvert.preprocessors import Preprocessor


class RawCellFormat(Preprocessor):  # type: ignore[misc]
    """Reads `metadata.format` of raw cells, the notebook format's own key, where nbconvert reads `raw_mimetype` only.

    A raw cell meant for another format is then left out of the conversion. Source: nbformat 4, raw NBConvert cells.
    """

    enabled = True

    def preprocess_cell(self, cell: Any, resources: Any, index: int) -> tuple[Any, Any]:
        """Called by nbconvert for each cell of its own copy of the notebook."""
        wanted = cell.metadata.get("format")
        if cell.cell_type == "raw" and isinstance(wanted, str):
            cell.metadata.setdefault("raw_mimetype", wanted)
        return cell, resources
