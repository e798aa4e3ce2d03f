//! What runs on the nodes. Constants; arguments are passed, never spliced.
//!
//! The probe and the changes share how they ask the daemon for its own account. That is a signal and a file that is read
//! and removed again: nothing the daemon does or keeps changes, so it counts as reading. The signal goes out only to
//! a process that waits for it, since any other would be ended by it.

mod drain;
mod edit;
mod look;
mod push;

pub(crate) use drain::{DRAIN, DRAINED};
pub(crate) use edit::OVERRIDE;
pub(crate) use look::{ADVERTS, CONFIG, PROBE};
pub(crate) use push::{ANNOUNCE, LET_GO, PUSH, TRACK};

/// `json PID`, `words PID`: the daemon's account of itself, without passwords; status 1 when it gives none.
/// `account PID INSTANCE`: base priority, effective priority and `nopreempt` (`true`, `false`) of one instance.
/// `option PID SHORT LONG`: the value of an option that the daemon was started with.
/// `holds ADDRESS`: the interface other than `lo` that has the address. On `lo` an address receives, but does not own
/// (load balancers and drained owners keep it there).
macro_rules! common {
    () => {
        r#"
asks() { # pid, signal: whether the daemon waits for it, and nobody else asks
  # A binary replaced since the start need not mean the same by its signals.
  case $(readlink "/proc/$1/exe") in */keepalived) ;; *) return 1 ;; esac
  local mask waits=0
  for mask in $(sed -n 's/^Sig\(Blk\|Cgt\):[[:space:]]*//p' "/proc/$1/status"); do
    [ $(( 0x$mask >> ($2 - 1) & 1 )) = 0 ] || waits=1
  done
  [ "$waits" = 1 ] || return 1
  # Two askers would read each other's file.
  exec 9>>/run/lock/rollup-keepalived-dump.lock
  flock -w 5 9
}
places() { # pid, name: where the daemon may put a file
  # Its own /tmp: systemd may have given it a private one. Before 2.2.5 TMPDIR is ignored.
  local dir; dir=$(tr '\0' '\n' <"/proc/$1/environ" | sed -n 's/^TMPDIR=//p' | tail -n 1)
  one=/proc/$1/root${dir:-/tmp}/$2 other=/proc/$1/root/tmp/$2
}
safe() { [ -f "$1" ] && [ ! -L "$1" ] && [ -O "$1" ]; }
json() (
  pid=$1
  sig=$(keepalived --signum=JSON 2>/dev/null) || exit 1
  case $sig in ''|*[!0-9]*) exit 1 ;; esac
  asks "$pid" "$sig" || exit 1
  places "$pid" keepalived.json
  rm -f -- "$one" "$other"
  kill -s "$sig" "$pid" || exit 1
  for _ in $(seq 50); do
    for file in "$one" "$other"; do
      safe "$file" || continue
      text=$(tr -d '\n' <"$file" | sed 's/"auth_data":"[^"]*"/"auth_data":""/g')
      # Written in place, so a part of it can be seen: only a closed text is the whole.
      case $text in '['*']'|'{'*'}') rm -f -- "$file"; printf '%s\n' "$text"; exit 0 ;; esac
    done
    sleep 0.02
  done
  rm -f -- "$one" "$other"
  exit 1
)
words() (
  pid=$1
  asks "$pid" 10 || exit 1
  places "$pid" keepalived.data
  rm -f -- "$one" "$other"
  kill -s USR1 "$pid" || exit 1
  size=
  for _ in $(seq 50); do
    sleep 0.02
    for file in "$one" "$other"; do
      safe "$file" || continue
      # The same size twice, and the section that is asked for: the whole.
      now=$(stat -c %s "$file")
      if [ "$now" = "$size" ] && grep -q '^------< VRRP Topology' "$file"; then
        sed '/^ *Password = /d' "$file"
        rm -f -- "$one" "$other" "${file%.data}_parent.data" "${file%.data}_check.data"
        exit 0
      fi
      size=$now
    done
  done
  rm -f -- "$one" "$other"
  exit 1
)
account() {
  local text
  if text=$(json "$1"); then
    printf '%s\n' "$text" | tr '{' '\n' | grep -F "\"iname\":\"$2\"," | head -n 1 |
      sed -n 's/.*"base_priority":\([0-9]*\).*"effective_priority":\([0-9]*\).*"nopreempt":\(true\|false\).*/\1 \2 \3/p'
  elif text=$(words "$1"); then
    printf '%s\n' "$text" | awk -v name="$2" '
      /^ VRRP Instance = / { here = ($4 == name) }
      here && /^   Priority = / { base = $3 }
      here && /^   Effective priority = / { effective = $4 }
      here && /^   Preempt = / { held = ($3 == "disabled") ? "true" : "false" }
      END { if (base != "") print base, (effective == "" ? base : effective), (held == "" ? "false" : held) }'
  fi
}
option() {
  tr '\0' '\n' <"/proc/$1/cmdline" | awk -v short="$2" -v long="$3" '
    take { print; exit }
    $0 == "-" short || $0 == "--" long { take = 1; next }
    index($0, "--" long "=") == 1 { print substr($0, length(long) + 4); exit }
    index($0, "-" short) == 1 { print substr($0, 3); exit }'
}
holds() { ip -o addr show | awk -v address="$1" '{ split($4, part, "/") } $2 != "lo" && part[1] == address { print $2; exit }'; }
"#
    };
}

/// `file SUM HEX PATH` and `include LINE KEYWORD FROM PATTERN MATCHED…` for a configuration and all it includes. The
/// node itself resolves patterns, as keepalived does: seen from the directory of the file, sorted, without directories
/// and without files that may be executed. `hide=1` blots out passwords.
macro_rules! walk {
    () => {
        r#"
declare -A seen=()
walk() { # path, depth
  local path=$1 depth=$2 dir=${1%/*} line keyword pattern match matched
  [ -z "${seen[$path]:-}" ] || return 0
  seen[$path]=1
  [ -r "$path" ] || return 0
  [ "$depth" -le 10 ] || { printf 'deep=%s\n' "$path"; return 0; }
  local expression='s/a/a/'
  [ -z "$hide" ] || expression='s/(auth_pass[[:space:]]+)("[^"]*"|[^[:space:]}]+)/\1x/g'
  printf 'file=%s\t%s\t%s\n' "$(sha256sum <"$path" | cut -d ' ' -f 1)" \
    "$(sed -E "$expression" "$path" | od -An -v -tx1 | tr -d ' \n')" "$path"
  while IFS=$'\t' read -r line keyword pattern; do
    # Braces are a matter of keepalived's own globbing.
    case $pattern in *'{'*) continue ;; esac
    matched=
    while IFS= read -r match; do
      case $match in ''|*$'\t'*) continue ;; /*) ;; *) match=$dir/$match ;; esac
      [ -f "$match" ] && [ -z "$(find -L "$match" -maxdepth 0 -perm /111)" ] || continue
      matched+=$'\t'$match
      walk "$match" $((depth + 1))
    done < <(cd "$dir" && shopt -s nullglob && IFS= && printf '%s\n' $pattern)
    printf 'include=%s\t%s\t%s\t%s%s\n' "$line" "$keyword" "$path" "$pattern" "$matched"
  done < <(awk '{
      sub(/^[ \t]+/, ""); if ($0 ~ /^@/) sub(/^[^ \t]+[ \t]+/, "")
      if (match($0, /^include[a-z]?[ \t]+/)) {
        keyword = substr($0, 1, RLENGTH); rest = substr($0, RLENGTH + 1)
        gsub(/[ \t]/, "", keyword); sub(/[ \t]*[#!].*$/, "", rest); sub(/[ \t\r]+$/, "", rest)
        print NR "\t" keyword "\t" rest
      } }' "$path")
}
"#
    };
}

use {common, walk};
