# $1 number of tools, tools, number of peers, peers as `ADDRESS PORT`, then places that a run writes to.
# The clock first: what follows may wait for a peer.
echo "clock $(date +%s.%N)"
count=$1; shift
tools=("${@:1:$count}"); shift "$count"
count=$1; shift
knock() {
  local said
  said=$(timeout 3 bash -c 'exec 3<>"/dev/tcp/$1/$2"' probe "$1" "$2" 2>&1) && return
  case $said in *refused*) echo "peer $1 $2 refuses" ;; *) echo "peer $1 $2 silent" ;; esac
}
for peer in "${@:1:$count}"; do knock ${peer% *} ${peer#* } & done
shift "$count"
echo "architecture $(uname -m)"
for installer in apt-get dnf yum zypper; do
  if command -v "$installer" >/dev/null 2>&1; then echo "installer $installer"; break; fi
done
for tool in "${tools[@]}"; do command -v "$tool" >/dev/null 2>&1 || echo "missing $tool"; done
echo "version bash ${BASH_VERSION}"
echo "version systemd $(systemctl --version 2>/dev/null | sed -n '1s/^systemd \([0-9][0-9.]*\).*/\1/p')"
echo "version coreutils $(date --version 2>/dev/null | sed -n '1s/.* \([0-9][0-9.]*\)$/\1/p')"
# What is mounted below a place is a place of its own; blanks in its name would come escaped and are left out.
mapfile -t below < <(cut -d ' ' -f 2 /proc/self/mounts | grep -vF '\' | sort -u | while read -r mount; do
  for place in "$@"; do
    case $mount in "$place"/*) [ ! -d "$mount" ] || printf '%s\n' "$mount"; break ;; esac
  done
done)
for place in "$@" "${below[@]}"; do
  at=$place; while [ ! -e "$at" ]; do at=$(dirname "$at"); done
  [ -d "$at" ] || at=$(dirname "$at")
  if [ -w "$at" ]; then may=rw; else may=ro; fi
  # A network file system that hangs must not hold up everything else.
  df=$(timeout 5 df -B1 --output=size,used,avail,itotal,iavail,target "$at" 2>/dev/null | tail -n 1) || df=
  echo "fs $may $place	${df:-unknown}"
done
[ -f /var/lib/rollup/lock/run ] && echo "lock $(cat /var/lib/rollup/lock/run)"
# The newest runs are enough: an older one that nobody ended was reported before each of them.
cd /var/lib/rollup/runs 2>/dev/null && ls -1r | head -n 50 | while read -r run; do
  [ ! -s "$run/journal.jsonl" ] || printf '%s\0' "$run/journal.jsonl"
done | xargs -0 -r awk '
  function out() { if (run != "") print run, (over ? "over" : "open"), changed + 0 }
  FNR == 1 { out(); run = FILENAME; sub("/journal.jsonl$", "", run); over = changed = 0 }
  /"event":\{"kind":"run-(finished|taken-back|finalized)"/ { over = 2 }
  /"event":\{"kind":"run-stopped","reason":"blocked"/ { if (!over) over = 1 }
  /"event":\{"kind":"run-resumed"/ { if (over == 1) over = 0 }
  /"event":\{"kind":"step-started"/ { changed++ }
  END { out() }' | while read -r run state changed; do
  kind=$(grep -m 1 -o '^  "kind": "[a-z]*"' "$run/plan.json" 2>/dev/null | cut -d '"' -f 4)
  echo "run $run $state $changed ${kind:-unknown}"
done
wait
echo end
