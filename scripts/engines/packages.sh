# Sourced by the scripts beside it, which have `say`.

# install_packages LOG PACKAGE...: installs those of Debian's packages that are missing.
install_packages() {
  local log=$1 missing=() package
  shift
  for package in "$@"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return
  say "installing ${missing[*]}"
  # RUNLEVEL: packages start no services of their own. The lock: another installer may be at work.
  local apt=(env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get -o DPkg::Lock::Timeout=300 -y --no-install-recommends)
  "${apt[@]}" install "${missing[@]}" >"$log" 2>&1 ||
    { "${apt[@]}" update >>"$log" 2>&1 && "${apt[@]}" install "${missing[@]}" >>"$log" 2>&1; } ||
    { tail -n 20 "$log" >&2; say "the packages could not be installed"; exit 1; }
}
