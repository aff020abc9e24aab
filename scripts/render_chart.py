"""Write what the chart makes to tests/engines/kubernetes/golden; a test tells when the chart has changed since.

`scripts/render_chart.py [HELM]`: Helm's program, `helm` unless named.
"""

import hashlib
import re
import subprocess
import sys
from pathlib import Path

CHART = Path(__file__).parent.parent / "deploy" / "helm" / "studiolo"
GOLDEN = Path(__file__).parent.parent / "tests" / "engines" / "kubernetes" / "golden"
# With the chart's own values, and with all that there is.
CASES = ("small", "large")
PASSWORD = "made-once"  # noqa: S105
_RANDOM = re.compile(r"(?<=password: )\w{32}$|(?<=studiolo:)\w{32}(?=@)", re.MULTILINE)


def digest() -> str:
    """Return the SHA-256 of all that the output depends on."""
    given = [path for path in sorted(CHART.rglob("*")) if path.is_file()]
    whole = hashlib.sha256()
    for path in (*given, *sorted(GOLDEN.glob("chart-*.values.yaml"))):
        whole.update(f"{path.name}\0{path.read_text()}\0".encode())
    return whole.hexdigest()


def render(case: str, helm: str = "helm") -> str:
    """Return what Helm makes of the chart, with a password that is always the same."""
    values = GOLDEN / f"chart-{case}.values.yaml"
    more = ["--values", str(values)] if values.exists() else []
    argv = [helm, "template", "lab", str(CHART), "--namespace", "team", *more]
    made = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    return _RANDOM.sub(PASSWORD, made)


def main() -> None:
    """Write all cases."""
    for case in CASES:
        text = f"# By scripts/render_chart.py, from a chart with the digest {digest()}\n"
        (GOLDEN / f"chart-{case}.yaml").write_text(text + render(case, *sys.argv[1:]))


if __name__ == "__main__":
    main()
