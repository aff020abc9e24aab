"""A seed notebook: what runs in each new kernel before anybody has it.

Source: jupyter_kernel_gateway, `seed_uri`: code cells in order, in kernels of the notebook's own language.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studiolo.contract.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class Seed:
    """Code cells of a notebook, and their language (`python`); empty: that of any kernel."""

    language: str
    cells: tuple[str, ...]

    def fits(self, language: str) -> bool:
        """Tell whether kernels of this language run it."""
        return not self.language or self.language.lower() == language.lower()


def read_seed(file: Path) -> Seed:
    """Read a notebook of format 4. Raises InvalidInput (`usage-invalid`)."""
    try:
        notebook: Any = json.loads(file.read_bytes())
        known = notebook.get("metadata", {})
        language = known.get("kernelspec", {}).get("language") or known.get("language_info", {}).get("name") or ""
        sources = [cell["source"] for cell in notebook["cells"] if cell["cell_type"] == "code"]
        return Seed(str(language), tuple(code for code in map("".join, sources) if code.strip()))
    except OSError as exc:
        raise InvalidInput("usage-invalid", f"The seed notebook {file} cannot be read: {exc.strerror}.") from exc
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError) as exc:
        hint = "Give a notebook of format 4, as Jupyter saves them."
        raise InvalidInput("usage-invalid", f"The seed notebook {file} is no notebook of format 4.", hint=hint) from exc
