#!/usr/bin/env bash
# A real Slurm on this machine alone, for the tests of the engine.
#
#   scripts/engines/slurm.sh up     install (Debian's packages, as root), configure, start, wait until nodes are idle
#   scripts/engines/slurm.sh down   end the daemons that this script started
#   scripts/engines/slurm.sh env    print what the tests need, as shell exports
#
# `up` again keeps a running cluster. Nothing outside $ENGINES_DIR/slurm is written but what the packages write; all
# listens on loopback.
#
#   ENGINES_DIR       where its state lies                    (/var/lib/studiolo-engines)
#   SLURM_NODES       daemons that play nodes                 (2)
#   SLURM_CGROUP      auto, v1, none: how limits are enforced (auto)
#   SLURM_BASE_PORT   first of the ports                      (26817)
#   SLURM_ACCOUNTING  1: with accounting, so that sacct works (0)
set -euo pipefail

state="${ENGINES_DIR:-/var/lib/studiolo-engines}/slurm"
nodes="${SLURM_NODES:-2}"
cgroup="${SLURM_CGROUP:-auto}"
port="${SLURM_BASE_PORT:-26817}"
accounting="${SLURM_ACCOUNTING:-0}"
rest="$state/rest/slurmrestd.sock"
export SLURM_CONF="$state/etc/slurm.conf"
export PATH="$PATH:/usr/sbin:/sbin"

say() { printf 'slurm: %s\n' "$*" >&2; }
. "$(dirname "$0")/packages.sh"
lives() { [ -s "$1" ] && kill -0 "$(cat "$1")" 2>/dev/null; }
# Each call is bounded: with a broken munge a client blocks for seconds.
ask() { timeout 10 "$@" 2>/dev/null; }

install_slurm() {
  local wanted=(munge slurmctld slurmd slurmrestd slurm-client slurm-wlm-basic-plugins)
  [ "$accounting" = 1 ] && wanted+=(slurmdbd slurm-wlm-mysql-plugin mariadb-server)
  install_packages "$state/apt.log" "${wanted[@]}"
}

pick_cgroup() {
  [ "$cgroup" = auto ] || return 0
  # Debian's Slurm drives version 1 where its controllers are mounted one by one; version 2 wants systemd.
  if [ -d /sys/fs/cgroup/memory ] && [ -d /sys/fs/cgroup/freezer ] && [ -d /sys/fs/cgroup/cpuset ]; then
    cgroup=v1
  else
    cgroup=none
  fi
}

write_configuration() {
  local host memory number proctrack=proctrack/linuxproc task=task/none
  host="$(hostname -s)"
  memory="$(awk '/MemTotal/{print int($2/1024*0.9)}' /proc/meminfo)"
  [ "$cgroup" = v1 ] && proctrack=proctrack/cgroup task=task/cgroup
  mkdir -p "$state"/{etc,log,state,run}
  chmod 755 "$(dirname "$state")" "$state" "$state/etc" "$state/run"
  install -d -o munge -g munge -m 0711 "$state/munge"
  if [ ! -s "$state/munge/munge.key" ]; then
    head -c 1024 /dev/urandom >"$state/munge/munge.key"
    chown munge:munge "$state/munge/munge.key"
    chmod 400 "$state/munge/munge.key"
  fi
  # PropagateResourceLimits=NONE: without CAP_SYS_RESOURCE a job cannot raise its limits to the submitter's.
  # EnforcePartLimits=ALL: what can never run is refused at once and does not wait for ever.
  cat >"$SLURM_CONF" <<END
ClusterName=studiolo
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$state/munge/munge.socket
CredType=cred/munge
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmctldPort=$port
SlurmdPort=$((port + 1))
StateSaveLocation=$state/state
SlurmdSpoolDir=$state/spool.%n
SlurmctldPidFile=$state/run/slurmctld.pid
SlurmdPidFile=$state/run/slurmd.%n.pid
SlurmctldLogFile=$state/log/slurmctld.log
SlurmdLogFile=$state/log/slurmd.%n.log
ProctrackType=$proctrack
TaskPlugin=$task
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=2
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
GresTypes=gpu
DefMemPerCPU=1024
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,sched_min_interval=0,bf_interval=2,batch_sched_delay=0
PropagateResourceLimits=NONE
ReturnToService=2
MpiDefault=none
SwitchType=switch/none
MinJobAge=600
KillWait=3
InactiveLimit=0
EnforcePartLimits=ALL
END
  if [ "$cgroup" = v1 ]; then
    printf '%s\n' CgroupPlugin=cgroup/v1 CgroupMountpoint=/sys/fs/cgroup \
      ConstrainCores=yes ConstrainRAMSpace=yes ConstrainSwapSpace=no ConstrainDevices=no >"$state/etc/cgroup.conf"
  else
    echo "JobAcctGatherParams=OverMemoryKill" >>"$SLURM_CONF"
    # A node loads some cgroup plugin always; here it is used for nothing.
    printf '%s\n' CgroupPlugin=autodetect IgnoreSystemd=yes >"$state/etc/cgroup.conf"
  fi
  # A GPU that only Slurm believes in.
  echo 'NodeName=n1 Name=gpu Type=a100 File=/dev/null' >"$state/etc/gres.conf"
  write_accounting
  local gres
  for number in $(seq "$nodes"); do
    mkdir -p "$state/spool.n$number"
    gres=
    [ "$number" != 1 ] || gres=Gres=gpu:a100:1
    echo "NodeName=n$number NodeHostname=$host NodeAddr=127.0.0.1 Port=$((port + 10 + number)) CPUs=$(nproc)" \
      "RealMemory=$memory $gres State=UNKNOWN" >>"$SLURM_CONF"
  done
  cat >>"$SLURM_CONF" <<END
PartitionName=interactive Nodes=n[1-$nodes] Default=YES MaxTime=08:00:00 State=UP OverSubscribe=NO
PartitionName=waits Nodes=n1 Default=NO MaxTime=08:00:00 State=DOWN
PartitionName=closed Nodes=n1 Default=NO MaxTime=08:00:00 State=INACTIVE
END
}

write_accounting() {
  if [ "$accounting" != 1 ]; then
    echo "AccountingStorageType=accounting_storage/none" >>"$SLURM_CONF"
    return
  fi
  # The connection to slurmdbd does not read AuthInfo: munge's socket goes into its pass.
  cat >>"$SLURM_CONF" <<END
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePass=$state/munge/munge.socket
AccountingStoragePort=$((port + 2))
END
  install -m 0600 /dev/stdin "$state/etc/slurmdbd.conf" <<END
AuthType=auth/munge
AuthInfo=socket=$state/munge/munge.socket
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort=$((port + 2))
SlurmUser=root
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=root
StorageLoc=slurm_acct
LogFile=$state/log/slurmdbd.log
PidFile=$state/run/slurmdbd.pid
END
}

start_accounting() {
  local data="$state/mysql"
  if ! lives "$state/run/mariadb.pid"; then
    install -d -o mysql -g mysql "$data"
    [ -d "$data/mysql" ] || mariadb-install-db --user=mysql --datadir="$data" \
      --auth-root-authentication-method=socket --skip-test-db >"$state/log/mariadb-install.log" 2>&1
    mariadbd --no-defaults --user=mysql --datadir="$data" --socket="$data/my.sock" --pid-file="$data/pid" \
      --skip-networking --innodb-buffer-pool-size=64M >"$state/log/mariadb.log" 2>&1 </dev/null &
    echo $! >"$state/run/mariadb.pid"
    for _ in $(seq 300); do ask mariadb-admin --no-defaults -S "$data/my.sock" ping >/dev/null && break; sleep .1; done
  fi
  MYSQL_UNIX_PORT="$data/my.sock" slurmdbd >>"$state/log/slurmdbd.out" 2>&1 </dev/null
  for _ in $(seq 100); do ask sacctmgr -n -P list cluster >/dev/null && break; sleep .2; done
  ask sacctmgr -i add cluster studiolo >/dev/null || true
}

start_rest() {
  lives "$state/run/slurmrestd.pid" && return
  # Whoever reaches the socket acts as its account. It runs as root here, which it advises against, because jobs do.
  mkdir -p "$state/rest"
  chmod 700 "$state/rest"
  rm -f "$rest"
  local interfaces=openapi/v0.0.38
  [ "$accounting" != 1 ] || interfaces+=,openapi/dbv0.0.38
  SLURMRESTD_SECURITY=disable_user_check slurmrestd -a rest_auth/local -s "$interfaces" "unix:$rest" \
    >>"$state/log/slurmrestd.log" 2>&1 </dev/null &
  echo $! >"$state/run/slurmrestd.pid"
  for _ in $(seq 300); do [ -S "$rest" ] && return; sleep .1; done
  tail -n 5 "$state/log/slurmrestd.log" >&2
  say "slurmrestd did not start"
  exit 1
}

count_idle() { ask sinfo -h -N -p interactive -t idle -o %N | wc -l; }

up() {
  mkdir -p "$state"
  install_slurm
  pick_cgroup
  local before
  before="$(cat "$SLURM_CONF" 2>/dev/null || true)"
  write_configuration
  if lives "$state/run/slurmctld.pid" && ask scontrol ping >/dev/null; then
    if [ "$before" = "$(cat "$SLURM_CONF")" ]; then
      start_rest
      say "is up already"
      return
    fi
    say "is up with another configuration, and is started anew"
    down
  fi
  if ! lives "$state/munge/munged.pid"; then
    # It refuses to run as root.
    setpriv --reuid=munge --regid=munge --init-groups munged --force \
      --socket="$state/munge/munge.socket" --key-file="$state/munge/munge.key" --pid-file="$state/munge/munged.pid" \
      --log-file="$state/munge/munged.log" --seed-file="$state/munge/munged.seed" >>"$state/log/munged.out" 2>&1
  fi
  [ "$accounting" = 1 ] && start_accounting
  slurmctld >>"$state/log/slurmctld.out" 2>&1 </dev/null
  local number
  for number in $(seq "$nodes"); do
    lives "$state/run/slurmd.n$number.pid" || slurmd -N "n$number" >>"$state/log/slurmd.n$number.out" 2>&1 </dev/null ||
      { tail -n 5 "$state/log/slurmd.n$number.log" >&2; say "node n$number did not start"; exit 1; }
  done
  for _ in $(seq 600); do [ "$(count_idle)" -eq "$nodes" ] && break; sleep .1; done
  [ "$(count_idle)" -eq "$nodes" ] || { ask sinfo >&2 || true; say "the nodes are not idle; see $state/log"; exit 1; }
  start_rest
  say "is up, limits by cgroup: $cgroup; SLURM_CONF=$SLURM_CONF"
}

down() {
  [ -d "$state/run" ] || return 0
  ask scancel --state=RUNNING,PENDING --me || true
  local file pid
  for file in "$state"/run/slurmd.*.pid "$state"/run/{slurmrestd,slurmctld,slurmdbd,mariadb}.pid "$state"/munge/munged.pid; do
    [ -s "$file" ] || continue
    pid="$(cat "$file")"
    if kill "$pid" 2>/dev/null; then
      for _ in $(seq 100); do kill -0 "$pid" 2>/dev/null || break; sleep .1; done
      kill -9 "$pid" 2>/dev/null || true
    fi
    rm -f "$file"
  done
  say "is down"
}

case "${1:-}" in
  up | down) "$1" ;;
  env) printf 'export SLURM_CONF=%q STUDIOLO_TEST_SLURMRESTD=%q\n' "$SLURM_CONF" "$rest" ;;
  *) sed -n '2,16p' "$0" && exit 2 ;;
esac
