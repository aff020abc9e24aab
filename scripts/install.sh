#!/usr/bin/env bash
# Makes .venv and installs what the locks say, checked by hash, and this clone on top. Quick when all is there.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { echo "$*" >&2; }

find_python() {
  for candidate in "${PYTHON:-python3}" python3.13 python3.12 python3.11; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  say "error: Python 3.11 or newer is needed."
  say "hint: install it, or name one: make PYTHON=/path/to/python3.12 …"
  exit 1
}

make_venv() {
  local python
  python=$(find_python)
  say "Making .venv with $("$python" --version)"
  if ! "$python" -m venv .venv >/dev/null 2>&1; then
    # Debian ships venv and pip apart from Python.
    if ! { "$python" -m venv --clear --without-pip .venv && "$python" -m pip --version; } >/dev/null 2>&1; then
      say "error: $python can make no virtual environment with pip."
      say "hint: on Debian and Ubuntu: apt install python3-venv"
      exit 1
    fi
  fi
}

install_uv() {
  say "Installing uv by its hash"
  local wanted
  wanted=$(mktemp)
  awk '/^[^ #]/ { inside = /^uv==/ } inside' requirements.lock >"$wanted"
  if [ -x .venv/bin/pip ]; then
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r "$wanted"
  else
    "$(find_python)" -m pip --python .venv/bin/python install --quiet --disable-pip-version-check --no-deps \
      --require-hashes -r "$wanted"
  fi
  rm -f "$wanted"
}

[ -x .venv/bin/python ] || make_venv
[ -x .venv/bin/uv ] || install_uv
export VIRTUAL_ENV="$PWD/.venv"
say "Installing the locked packages"
.venv/bin/uv pip sync --quiet --require-hashes --compile-bytecode requirements.lock requirements-build.lock
# The build backend comes from the lock, so nothing is fetched without a hash.
.venv/bin/uv pip install --quiet --no-deps --no-build-isolation --editable .
