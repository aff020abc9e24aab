#!/usr/bin/env bash
# Installs from Debian what tests need and is missing (as root), else says which tests are skipped for it.
set -euo pipefail
cd "$(dirname "$0")/.."

# program | Debian package | what needs it
needs="chromium|chromium|tests marked browser
openssl|openssl|tests of certificates in tests/supervisor
npm|npm|tests of JupyterLab's own client in tests/gateway
nginx|nginx-light|tests of kernels behind nginx
haproxy|haproxy|tests of kernels behind haproxy
mkfs.xfs|xfsprogs|tests of disk quotas
pg_dump|postgresql-client|backups of the PostgreSQL in tests/deploy"

# Debian keeps servers where only root's PATH leads.
PATH=$PATH:/usr/sbin

missing=()
while IFS='|' read -r program package what; do
  command -v "$program" >/dev/null && continue
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    missing+=("$package")
  else
    echo "$program is missing: $what are skipped. On Debian: apt install $package" >&2
  fi
done <<<"$needs"

if [ ${#missing[@]} -gt 0 ]; then
  echo "Installing for the tests: ${missing[*]}" >&2
  export DEBIAN_FRONTEND=noninteractive
  { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}"; } </dev/null >/dev/null ||
    echo "Could not install ${missing[*]}; the tests that need them are skipped." >&2
fi
