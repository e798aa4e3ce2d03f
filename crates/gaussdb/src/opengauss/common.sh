# Put before every script. $1 environment file (may be empty) $2 data directory $3 port $4 database $5 OS user.
env_file=$1 data=$2 port=$3 database=$4 user=$5; shift 5
cd /
HOME=$(getent passwd "$user" | cut -d : -f 6); export HOME
[ -n "$env_file" ] || env_file=$HOME/.bashrc

# A server that a tool starts must outlive the session or the job that runs the tool: such a tool runs in a scope of its own.
scope=()
lasting() { local scope=(); ! command -v systemd-run > /dev/null || scope=(systemd-run --scope --quiet --collect --); "$@"; }

as_owner() { if [ "$(id -un)" = "$user" ]; then "$@"; else "${scope[@]}" runuser -u "$user" -- "$@"; fi; }

refuse() { printf '%s\n' "$*" >&2; exit 3; }

# A command of the database's owner with the environment of the tools; without input and terminal, since tools that want
# a password ask there. What the environment file itself prints is nobody's business.
tool() {
  as_owner bash -c 'set +eu; file=$1; shift; source "$file" > /dev/null 2>&1; export LC_ALL=C; exec "$@"' tool "$env_file" "$@" \
    < /dev/null
}

# A tool's exit status and text, for whoever reads both: `status N`, then the text. Tools of one node can get into each
# other's way for a moment (`another gs_ctl command is running`): nothing was done then.
told() {
  local status said try
  for try in {1..20}; do
    status=0
    said=$(tool "$@" 2>&1) || status=$?
    case $said in *'command is running, init_log failed'*) sleep 0.2 ;; *) break ;; esac
  done
  printf 'status %s\n%s\n' "$status" "$said"
}

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

# SQL on standard input, on the local socket, where the owner needs no password. It goes through a file: of the text that
# a tool reads from a pipe it would say no line numbers.
sql() { sql_at "$port" "$database" "$@"; }
# The same at port $1, in database $2.
sql_at() {
  local at=$1 in=$2 file status=0
  shift 2
  file=$(as_owner mktemp /tmp/rollup-sql.XXXXXX)
  as_owner tee "$file" > /dev/null
  # Where its answers are it also tells how long a file took, and that it is of another version than the server.
  tool env PGCONNECT_TIMEOUT=3 PGAPPNAME=rollup PGCLIENTENCODING=UTF8 gsql -X -q -A -t -v ON_ERROR_STOP=1 -d "$in" -p "$at" \
    "$@" -f "$file" \
    > >(sed '/^total time: [0-9]*  *ms$/d; /^Warning: The client and server have different version numbers\.$/d') || status=$?
  rm -f "$file"
  # Whatever filters its answers has ended.
  wait "$!" 2>/dev/null || true
  return "$status"
}

control() { tool pg_controldata "$data" 2>&1; }
cluster_state() { control | sed -n 's/^Database cluster state: *//p'; }

# What the server says of itself, or nothing: local_role and db_state. A view of the state file (it has sync_mode) is no
# answer of a server.
local_state() {
  tool gs_ctl query -D "$data" 2>/dev/null | awk '
    function value(line) { sub(/^[^:]*: ?/, "", line); sub(/[ \r]+$/, "", line); return line }
    /local_role +:/ && role == "" { role = value($0) }
    /db_state +:/ && state == "" { state = value($0) }
    /sync_mode +:/ { offline = 1 }
    END { if (!offline && role != "") print role "\t" state }'
}
local_role() { local_state | cut -f 1; }

# Whether the cluster manager is in charge: its tool is there, and one of its processes is the owner's.
manager() {
  tool bash -c 'command -v cm_ctl' > /dev/null 2>&1 || { echo absent; return; }
  if pgrep -u "$user" -f '(^|/)(cm_agent|om_monitor)( |$)' > /dev/null; then echo running; else echo stopped; fi
}
# The manager's number of this node: the row with address $1 and this data directory.
node_id() {
  tool cm_ctl query -Cvipd 2>/dev/null | sed 's/ | /\n/g' | awk -v ip="$1" '
    / [0-9]+ / { for (i = 1; i <= NF; i++) if ($i == ip && $1 + 0 > 0) { print $1; exit } }'
}

# A position as a number.
number() { printf '%s\n' $((16#${1%/*} << 32 | 16#${1#*/})); }

# Starts the server with role $1, where this node has address $2.
start_as() {
  local said
  if [ "$(manager)" = running ]; then
    said=$(lasting told cm_ctl start -n "$(node_id "$2")" -D "$data")
  else
    # Its log would be the tool's own output otherwise.
    # shellcheck disable=SC2016
    said=$(lasting told bash -c 'exec gs_ctl start -D "$1" -M "$2" -l "${GAUSSLOG:-$HOME}/rollup-start.log"' start "$data" "$1")
  fi
  postmaster > /dev/null || { printf '%s\n' "$said" >&2; exit 5; }
}

# Stops the server within $1 seconds, where this node has address $2. The manager keeps what it has stopped down.
stop_server() {
  local said
  if [ "$(manager)" = running ]; then
    said=$(told cm_ctl stop -n "$(node_id "$2")" -D "$data" -m fast)
  else
    postmaster > /dev/null || return 0
    said=$(told gs_ctl stop -D "$data" -m fast -t "$1")
  fi
  ! postmaster > /dev/null || { printf '%s\n' "$said" >&2; exit 5; }
}
