# Put before every script. $1 directory of the tools (may be empty) $2 data directory $3 port $4 database $5 OS user.
bin=$1 data=$2 port=$3 database=$4 user=$5; shift 5
# The owner cannot enter root's home, and its tools complain about that.
cd /
# `sudo` and `runuser` leave root's home in place, but the replication password is looked up in the owner's.
HOME=$(getent passwd "$user" | cut -d : -f 6); export HOME

as_owner() { if [ "$(id -un)" = "$user" ]; then "$@"; else runuser -u "$user" -- "$@"; fi; }

refuse() { printf '%s\n' "$*" >&2; exit 3; }

# The process that runs on directory $1, or failure. A stale file whose number now belongs to another program does not
# count.
runs_on() {
  local pid
  pid=$(head -n 1 "$1/postmaster.pid" 2>/dev/null) || return 1
  [ -n "$pid" ] && [ "$(readlink "/proc/$pid/cwd")" = "$(readlink -f "$1")" ] && printf '%s\n' "$pid"
}
postmaster() { runs_on "$data"; }

# The node's own directory: in the middle of an exchange it lies aside for a moment.
mine=$data
[ -d "$mine" ] || [ ! -d "$data.rollup-old" ] || mine=$data.rollup-old

if [ -z "$bin" ]; then
  if pid=$(postmaster); then
    bin=$(dirname "$(readlink "/proc/$pid/exe")")
  else
    bin=/usr/lib/postgresql/$(cat "$mine/PG_VERSION" 2>/dev/null || true)/bin
    [ -x "$bin/pg_controldata" ] || bin=$(dirname "$(readlink -f "$(command -v pg_controldata || echo /)")")
  fi
fi
psql=$bin/psql
[ -x "$psql" ] || psql=psql
socket=$(sed -n 5p "$data/postmaster.pid" 2>/dev/null || true)

# SQL on standard input. Never asks for a password and never waits long for a connection.
sql() {
  as_owner env PGCONNECT_TIMEOUT=3 PGAPPNAME=rollup PGCLIENTENCODING=UTF8 \
    PGOPTIONS='-c statement_timeout=5s -c lc_messages=C' \
    "$psql" -X -A -t -q -w -v ON_ERROR_STOP=1 -h "$socket" -p "$port" -d "$database" "$@"
}

control() {
  [ -x "$bin/pg_controldata" ] || { echo "pg_controldata: error: not found in $bin"; return 1; }
  "$bin/pg_controldata" -D "$data"
}
cluster_state() { control | sed -n 's/^Database cluster state: *//p'; }

# What the server says to a command over a replication login: $1 host, $2 user, $3 command.
replication_command() {
  as_owner env PGCONNECT_TIMEOUT=3 "$psql" -X -A -t -q -w -F ' ' -c "$3" \
    "host=$1 port=$port user=$2 replication=true application_name=rollup"
}
# Whether such a login works: $1 host, $2 user. Prints the system identifier.
replication_login() { replication_command "$1" "$2" IDENTIFY_SYSTEM; }

# Where the server's settings begin: as it says, as it was last started with, or in its data directory.
config_file() {
  local file
  file=$(sql -c 'show config_file' 2>/dev/null || true)
  [ -n "$file" ] || file=$(sed -n 's/.*"config_file=\([^"]*\)".*/\1/p' "$mine/postmaster.opts" 2>/dev/null || true)
  printf '%s\n' "${file:-$mine/postgresql.conf}"
}
# The value of setting $1 by this node's files; nothing when it cannot be told.
own_setting() {
  as_owner "$bin/postgres" -C "$1" -D "$mine" -c config_file="$(config_file)" 2>/dev/null || true
}

# Makes the server a standby of $1 from its next start on: user $2, application name $3. Safe in any state: the files
# are complete and on disk before anything depends on them.
follow() {
  local auto=$data/postgresql.auto.conf word current
  umask 077
  for word in "$@"; do
    case $word in ''|*[!A-Za-z0-9_.:%-]*) echo "\`$word\` cannot be written into primary_conninfo" >&2; return 1 ;; esac
  done
  current=$(sed -n 's/^ *primary_conninfo *= *//p' "$auto" | tail -n 1)
  # What an operator wrote for the same upstream (TLS, a password file) is kept.
  case " ${current//\'/ } " in
    *" host=$1 "*) ;;
    *)
      { grep -v '^ *primary_conninfo *=' "$auto" || true
        printf "primary_conninfo = 'host=%s port=%s user=%s application_name=%s'\n" "$1" "$port" "$2" "$3"
      } > "$auto.tmp"
      chown --reference="$data" "$auto.tmp"
      sync "$auto.tmp"; mv "$auto.tmp" "$auto" ;;
  esac
  [ -e "$data/standby.signal" ] || : > "$data/standby.signal"
  chown --reference="$data" "$data/standby.signal"
  sync "$data/standby.signal" "$data"
}

# Stops the server $1 at once but cleanly, and sees it gone within $2 seconds. Its pid file is the last thing it removes.
# Looking every few milliseconds beats `pg_ctl -w`, which looks ten times a second.
stop_fast() {
  local end=$((SECONDS + $2))
  kill -INT "$1"
  while [ -e "$data/postmaster.pid" ] && [ -e "/proc/$1" ]; do
    [ "$SECONDS" -lt "$end" ] || { echo "the server has not stopped within $2 s and still tries" >&2; return 5; }
    sleep 0.004
  done
}

start_unit() {
  systemctl reset-failed "$1" 2>/dev/null || true
  systemctl start "$1"
  # A unit that systemd believes active while its server is gone starts nothing.
  postmaster >/dev/null || systemctl restart "$1"
  socket=$(sed -n 5p "$data/postmaster.pid" 2>/dev/null || true)
}
