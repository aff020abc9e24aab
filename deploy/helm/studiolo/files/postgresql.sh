# Makes the database at its first start, gives its account the Secret's password, and becomes the server.
# Needs what images of PostgreSQL on Debian have: a shell, and PostgreSQL's programs on the path.
set -eu
sockets=/run/postgresql

alone() {
  # A volume whose group is set anew has its folders opened to that group, which the server refuses.
  chmod 700 "$1"
  # Reached by nobody but this script. Recovery after a hard end may take its time.
  pg_ctl start --pgdata="$1" --silent --wait --timeout=1800 \
    --options="-c listen_addresses= -c unix_socket_directories=$sockets -c log_min_messages=error"
}

if ! [ -s "$PGDATA/PG_VERSION" ]; then
  # What an earlier try left half made.
  rm -rf "$PGDATA.part"
  initdb --pgdata="$PGDATA.part" --username=postgres --encoding=UTF8 --locale=C.UTF-8 --data-checksums \
    --auth-local=trust --auth-host=reject
  echo "host studiolo studiolo all scram-sha-256" >"$PGDATA.part/hba"
  cat "$PGDATA.part/pg_hba.conf" >>"$PGDATA.part/hba"
  mv "$PGDATA.part/hba" "$PGDATA.part/pg_hba.conf"
  alone "$PGDATA.part"
  psql --quiet --no-psqlrc --host="$sockets" --username=postgres --set=ON_ERROR_STOP=1 <<-'SQL'
	CREATE ROLE studiolo LOGIN;
	CREATE DATABASE studiolo OWNER studiolo;
	SQL
  pg_ctl stop --pgdata="$PGDATA.part" --silent --wait --mode=fast
  mv "$PGDATA.part" "$PGDATA"
fi

alone "$PGDATA"
psql --quiet --no-psqlrc --host="$sockets" --username=postgres --set=ON_ERROR_STOP=1 <<-'SQL'
	\set password `cat /etc/studiolo/password/password`
	ALTER ROLE studiolo PASSWORD :'password';
	SQL
pg_ctl stop --pgdata="$PGDATA" --silent --wait --mode=fast
exec postgres -c "listen_addresses=*" -c "unix_socket_directories=$sockets"
