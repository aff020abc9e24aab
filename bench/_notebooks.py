"""Notebooks as benchmarks need them: of a size, or many small ones."""

import base64
import json
import random
from pathlib import Path
from typing import Any

_WORDS = ["model", "data", "train", "test", "loss", "plan", "month", "price", "churn", "survival", "frame", "column"]


def notebook_of(size_bytes: int, seed: int) -> str:
    """Return a notebook of about this size: by bytes a third each of tables, pictures and printed lines."""
    chance, cells, size = random.Random(seed), [], 0
    while size < size_bytes:
        cell = [_code(chance, 12, _outputs(chance)), _text(chance)]
        cells += cell
        size += len(json.dumps(cell))
    return _whole(cells)


def write_many(folder: Path, number: int, *, cells: int = 12) -> None:
    """Write notebooks with some cells of code and text, in folders of a hundred."""
    chance = random.Random(1)
    for at in range(number):
        file = folder / f"folder-{at // 100:03}" / f"notebook-{at:05}.ipynb"
        file.parent.mkdir(exist_ok=True)
        made = [_text(chance) if part % 3 == 0 else _code(chance, 8, []) for part in range(cells)]
        made.append(_code(chance, 1, []) | {"source": f"needle_{at} = read_parquet('part-{at}.parquet')"})
        file.write_text(_whole(made))


def _whole(cells: list[dict[str, Any]]) -> str:
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3"}, "language_info": {"name": "python"}}
    return json.dumps({"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5})


def _code(chance: random.Random, lines: int, outputs: list[dict[str, Any]]) -> dict[str, Any]:
    source = "\n".join(
        f"{chance.choice(_WORDS)}_{line} = pd.{chance.choice(_WORDS)}({chance.choice(_WORDS)!r}, {chance.random():.3f})"
        for line in range(lines)
    )
    made = {"cell_type": "code", "id": f"c{chance.getrandbits(60):x}", "execution_count": 1}
    return {**made, "metadata": {}, "source": source, "outputs": outputs}


def _text(chance: random.Random) -> dict[str, Any]:
    source = f"## {chance.choice(_WORDS)}\n\n" + " ".join(chance.choices(_WORDS, k=60))
    return {"cell_type": "markdown", "id": f"m{chance.getrandbits(60):x}", "metadata": {}, "source": source}


def _outputs(chance: random.Random) -> list[dict[str, Any]]:
    rows = "".join(f"<tr><td>{row}</td><td>{chance.random()}</td></tr>" for row in range(400))
    picture = base64.b64encode(chance.randbytes(12_000)).decode()
    return [
        {"output_type": "stream", "name": "stdout", "text": "\n".join(f"{chance.random()}" for _ in range(800))},
        {"output_type": "display_data", "metadata": {}, "data": {"text/html": f"<table>{rows}</table>"}},
        {"output_type": "display_data", "metadata": {}, "data": {"image/png": picture}},
    ]
