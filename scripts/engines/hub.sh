#!/usr/bin/env bash
# A real JupyterHub for tests, on this machine alone. Idempotent; needs Python, npm and node, but no systemd.
#
#   hub.sh up     install it (from PyPI and npm), write its configuration, start it, wait until it answers
#   hub.sh down   stop the Hub, its proxy and the servers that it started
#   hub.sh env    print what tests need, for `eval`: STUDIOLO_TEST_HUB_URL, _TOKEN_FILE and _SIGN_IN_PORT
#
# Anybody signs in with the password "test". The service "studiolo" has just the scopes that an engine needs, and may
# make users; people of the Hub sign in to a platform on the port ten above the Hub's. As root the Hub runs as the
# account studiolo-hub, else as whoever starts it.
#
#   ENGINES_DIR   where everything lies        (as root /var/lib/studiolo-engines, else ~/.cache/studiolo-engines)
#   HUB_PYTHON    the interpreter; other accounts must be able to read it          (/usr/bin/python3)
#   HUB_PORT      the public one, loopback only; the proxy's API is one above it, the Hub itself two     (28000)
set -euo pipefail

default_root="$HOME/.cache/studiolo-engines"
[ "$(id -u)" != 0 ] || default_root=/var/lib/studiolo-engines
root="${ENGINES_DIR:-$default_root}"
hub="$root/hub"
venv="$hub/venv"
python="${HUB_PYTHON:-/usr/bin/python3}"
port="${HUB_PORT:-28000}"
account=studiolo-hub

say() { printf 'hub: %s\n' "$*" >&2; }
is_alive() { [ -s "$1" ] && kill -0 "$(cat "$1")" 2>/dev/null; }
answers() { "$python" -c "import urllib.request as u; u.urlopen('http://127.0.0.1:$port/hub/api', timeout=2)" 2>/dev/null; }

install_programs() {
  if [ ! -e "$venv/.ready" ]; then
    say "installing JupyterHub into $venv"
    "$python" -m venv --clear "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check "jupyterhub>=6,<7" jupyterlab ipykernel
    # Servers run as another account, which cannot write what is compiled on the way.
    "$venv/bin/python" -m compileall -q "$venv/lib" || true
    touch "$venv/.ready"
  fi
  if [ ! -x "$hub/proxy/node_modules/.bin/configurable-http-proxy" ]; then
    say "installing configurable-http-proxy"
    mkdir -p "$hub/proxy"
    (cd "$hub/proxy" && echo '{"private": true}' >package.json && npm install --silent --no-save configurable-http-proxy)
  fi
}

write_configuration() {
  [ -s "$hub/state/token" ] || "$python" -c 'import secrets; print(secrets.token_hex(24))' >"$hub/state/token"
  chmod 600 "$hub/state/token"
  cat >"$hub/state/jupyterhub_config.py" <<PYTHON
import asyncio
from pathlib import Path

c = get_config()  # noqa: F821
here, port = Path("$hub/state"), $port
c.JupyterHub.bind_url = f"http://127.0.0.1:{port}/"
c.JupyterHub.hub_bind_url = f"http://127.0.0.1:{port + 2}"
c.ConfigurableHTTPProxy.api_url = f"http://127.0.0.1:{port + 1}"
c.ConfigurableHTTPProxy.command = ["$hub/proxy/node_modules/.bin/configurable-http-proxy"]
c.ConfigurableHTTPProxy.pid_file = str(here / "proxy.pid")
c.JupyterHub.db_url = f"sqlite:///{here}/hub.sqlite"
c.JupyterHub.cookie_secret_file = str(here / "cookie_secret")
c.JupyterHub.authenticator_class = "dummy"
c.DummyAuthenticator.password = "test"
c.Authenticator.allow_all = True
c.JupyterHub.allow_named_servers = True
c.JupyterHub.cleanup_servers = True
c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = str(here / "homes" / "{username}")
c.Spawner.default_url = "/lab"
c.Spawner.cmd = ["$venv/bin/jupyterhub-singleuser"]
c.Spawner.start_timeout = 90
c.Spawner.http_timeout = 90
c.Spawner.poll_interval = 1
c.Spawner.env_keep = ["PATH", "LANG"]


def apply_user_options(spawner, options):
    """Take {"greeting": words}, {"hold": seconds} and {"fail": sentence}; refuse all else, as strict Hubs do."""
    if unknown := set(options) - {"greeting", "hold", "fail"}:
        raise ValueError(f"unknown options: {', '.join(sorted(unknown))}")
    spawner.environment = {"GREETING": options.get("greeting", "")}


async def before_spawn(spawner):
    await asyncio.sleep(spawner.user_options.get("hold", 0))
    if sentence := spawner.user_options.get("fail"):
        raise RuntimeError(sentence)


c.Spawner.apply_user_options = apply_user_options
c.Spawner.pre_spawn_hook = before_spawn
c.JupyterHub.services = [
    {
        "name": "studiolo",
        "api_token": (here / "token").read_text().strip(),
        "oauth_redirect_uri": f"http://localhost:{port + 10}/sign-in/jupyterhub/callback",
        "oauth_no_confirm": True,
    }
]
c.JupyterHub.load_roles = [
    {"name": "user", "scopes": ["self", "access:services!service=studiolo"]},
    {
        "name": "studiolo",
        "scopes": ["servers", "list:users", "read:users:name", "tokens", "access:servers", "admin:users"],
        "services": ["studiolo"],
    }
]
PYTHON
}

up() {
  mkdir -p "$hub/state/homes"
  chmod 755 "$root" "$hub" "$hub/state"
  install_programs
  local before
  before="$(cat "$hub/state/jupyterhub_config.py" 2>/dev/null || true)"
  write_configuration
  if is_alive "$hub/state/hub.pid" && answers; then
    if [ "$before" = "$(cat "$hub/state/jupyterhub_config.py")" ]; then say "is up already"; return; fi
    say "is up with another configuration, and is started anew"
    down
  fi
  # A proxy that outlived its Hub would keep the port.
  ! is_alive "$hub/state/proxy.pid" || kill "$(cat "$hub/state/proxy.pid")" || true
  rm -f "$hub/state/proxy.pid"
  local as=()
  if [ "$(id -u)" = 0 ]; then
    id "$account" >/dev/null 2>&1 || useradd --system --home-dir "$hub/state" --shell /bin/sh "$account"
    chown -R "$account:" "$hub/state"
    as=(setpriv --reuid="$account" --regid="$account" --init-groups)
  fi
  (cd "$hub/state" && exec "${as[@]}" env -i HOME="$hub/state" LANG=C.UTF-8 PATH="$venv/bin:/usr/local/bin:/usr/bin:/bin" \
    "$venv/bin/jupyterhub" -f "$hub/state/jupyterhub_config.py" >>"$hub/state/hub.log" 2>&1 </dev/null) &
  echo $! >"$hub/state/hub.pid"
  for _ in $(seq 600); do
    if answers; then say "is up: http://127.0.0.1:$port/hub/"; return; fi
    is_alive "$hub/state/hub.pid" || break
    sleep .2
  done
  tail -n 20 "$hub/state/hub.log" >&2
  say "did not start; its log is $hub/state/hub.log"
  exit 1
}

down() {
  if is_alive "$hub/state/hub.pid"; then
    local pid
    pid="$(cat "$hub/state/hub.pid")"
    kill "$pid" 2>/dev/null || true
    for _ in $(seq 150); do kill -0 "$pid" 2>/dev/null || break; sleep .1; done
    kill -9 "$pid" 2>/dev/null || true
  fi
  ! is_alive "$hub/state/proxy.pid" || kill "$(cat "$hub/state/proxy.pid")" 2>/dev/null || true
  rm -f "$hub/state/hub.pid" "$hub/state/proxy.pid"
  say "is down"
}

case "${1:-}" in
  up) up ;;
  down) down ;;
  env)
    printf 'export STUDIOLO_TEST_HUB_URL=%q STUDIOLO_TEST_HUB_TOKEN_FILE=%q STUDIOLO_TEST_HUB_SIGN_IN_PORT=%q\n' \
      "http://127.0.0.1:$port" "$hub/state/token" "$((port + 10))"
    ;;
  *) sed -n '2,15s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
