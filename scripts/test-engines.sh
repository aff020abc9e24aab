#!/usr/bin/env bash
# Runs a command with the real products that engines are tested on: sets each up, exports where it is, ends it again.
# One that cannot be had says why; its tests are skipped then, and fail where CI=true. KEEP=1 leaves them up.
set -euo pipefail
cd "$(dirname "$0")/.."
products="podman slurm hub"

end_all() {
  [ "${KEEP:-}" = 1 ] && return
  # Quietly: the command's last line stays the last one.
  for product in $products; do
    "scripts/engines/$product.sh" down >/dev/null 2>&1 || echo "$product did not end: scripts/engines/$product.sh down" >&2
  done
}

trap end_all EXIT
for product in $products; do
  if "scripts/engines/$product.sh" up; then
    exported=$("scripts/engines/$product.sh" env)
    eval "$exported"
  else
    echo "There is no $product here, for the reason above: tests on it are skipped, or fail where CI=true." >&2
  fi
done
"$@"
