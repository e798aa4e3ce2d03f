//! What runs on the nodes. Constants; arguments are passed, never spliced.

/// The files, and where the marks of a freeze are.
///
/// `listing MAX PATH…` prints `count=`, `digest=` and, for at most MAX files, one line for each fact of each file:
/// kind, two values and the path, with tabs between.
macro_rules! common {
    () => {
        r#"
marker=/var/lib/rollup/sync-frozen.json
frozen_list=/var/lib/rollup/sync-frozen.list
dropin() { printf '/etc/systemd/system/%s.d/50-rollup-freeze.conf' "$1"; }
lines() {
  {
    find "$@" -xdev -type f -printf 'file\t%m\t%s\t%p\0'
    find "$@" -xdev -type l -printf 'link\t%l\t0\t%p\0'
    find "$@" -xdev -type f -print0 | xargs -0 -r sha256sum -z -- | sed -z 's/^\([0-9a-f]*\)  /hash\t\1\t0\t/'
  } 2>/dev/null | tr '\n\0' '?\n' | sort
}
listing() {
  max=$1; shift
  all=$(lines "$@")
  count=$(printf '%s\n' "$all" | grep -c '^\(file\|link\)' || true)
  printf 'count=%s\ndigest=%s\n' "$count" "$(printf '%s\n' "$all" | sha256sum | cut -d ' ' -f 1)"
  [ "$count" -gt "$max" ] || [ "$count" = 0 ] || printf '%s\n' "$all"
}
"#
    };
}

/// Facts of one node. `$1` unit, `$2` timer, `$3` most files to list, then the paths. Times are UTC.
pub(crate) const PROBE: &str = concat!(
    common!(),
    r#"
exec 2>/dev/null
unit=$1 timer=$2 max=$3; shift 3
export TZ=UTC
echo '[unit]'
systemctl show -p LoadState -p ActiveState -p SubState -p Result -p ExecMainStatus -p ExecMainStartTimestamp \
  -p ExecMainStartTimestampMonotonic -p ExecMainExitTimestamp "$unit"
ended=$(systemctl show -p ExecMainExitTimestamp --value "$unit")
case $ended in ''|n/a) ;; *) echo "AgeSeconds=$(( $(date +%s) - $(date -d "$ended" +%s) ))" ;; esac
echo '[timer]'
systemctl show -p LoadState -p ActiveState -p UnitFileState -p NextElapseUSecRealtime -p LastTriggerUSec "$timer"
echo '[cron]'
paths=(); for path in "$@"; do paths+=(-e "$path"); done
grep -sHnF "${paths[@]}" /etc/crontab /etc/cron.d/* /var/spool/cron/* /var/spool/cron/crontabs/* |
  grep -v ':[0-9]*:[[:space:]]*#' | grep -E 'rsync|scp|unison| cp ' | cut -d : -f 1,2
echo '[freeze]'
if [ -e "$(dropin "$unit")" ]; then echo dropin=yes; else echo dropin=no; fi
[ ! -e "$marker" ] || printf 'marker=%s\n' "$(tr -d '\n' <"$marker")"
if [ -e "$frozen_list" ]; then echo '[frozen]'; cat "$frozen_list"; fi
echo '[now]'
listing "$max" "$@"
echo '[end]'
"#
);

/// Freezes the job on this node and lists its files. `$1` unit, `$2` timer, `$3` run, `$4` seconds to wait for a copy
/// that runs, `$5` most files to list, then the paths.
///
/// The marker comes first and only once: it keeps what the timer was before the first freeze, whatever is cut off and
/// run again after. The list comes last, when nothing copies any more, and makes the freeze complete.
pub(crate) const FREEZE: &str = concat!(
    common!(),
    r#"
unit=$1 timer=$2 run=$3 wait=$4 max=$5; shift 5
install -d -m 0700 /var/lib/rollup
put() { # FILE: stdin takes its place, as a whole or not at all
  cat >"$1.new"
  sync -- "$1.new"
  mv -f -- "$1.new" "$1"
  sync -- "$(dirname -- "$1")"
}
if [ -e "$marker" ]; then
  # Another run's freeze is taken over with what it remembers.
  sed "s/\"run\":\"[^\"]*\"/\"run\":\"$run\"/" "$marker" | put "$marker"
else
  case $(systemctl show -p UnitFileState --value "$timer") in enabled*) enabled=true ;; *) enabled=false ;; esac
  case $(systemctl show -p ActiveState --value "$timer") in active) active=true ;; *) active=false ;; esac
  rm -f -- "$frozen_list"
  printf '{"run":"%s","since":"%s","timer_enabled":%s,"timer_active":%s}\n' \
    "$run" "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$enabled" "$active" | put "$marker"
fi
conf=$(dropin "$unit")
install -d -m 0755 "$(dirname -- "$conf")"
printf '[Unit]\nConditionPathExists=!%s\n' "$marker" | put "$conf"
systemctl daemon-reload
systemctl stop "$timer"
# A copy that runs is left to end by itself: half of the files would be worse than all of them.
end=$(( $(date +%s) + wait ))
while :; do
  case $(systemctl show -p ActiveState --value "$unit"):$(systemctl show -p SubState --value "$unit") in
    inactive:*|failed:*|*:exited) break ;;
  esac
  [ "$(date +%s)" -lt "$end" ] || { echo "$unit still copies after $wait s; it is frozen for later, but not stopped" >&2; exit 1; }
  sleep 0.2
done
[ -e "$frozen_list" ] || listing "$max" "$@" | put "$frozen_list"
"#
);

/// Lets the job run again on this node. `$1` unit, `$2` timer, `$3` whether the timer is to be enabled, `$4` whether it
/// is to run (`true`, `false`).
pub(crate) const THAW: &str = concat!(
    common!(),
    r#"
unit=$1 timer=$2 enabled=$3 active=$4
conf=$(dropin "$unit")
rm -f -- "$conf" "$marker" "$frozen_list"
rmdir -- "$(dirname -- "$conf")" 2>/dev/null || true
systemctl daemon-reload
if [ "$enabled" = true ]; then systemctl enable --quiet "$timer"; else systemctl disable --quiet "$timer"; fi
if [ "$active" = true ]; then systemctl start "$timer"; else systemctl stop "$timer"; fi
"#
);

/// Copies once, now, and waits for the end. `$1` unit, `$2` when the run before started, by the monotonic clock.
pub(crate) const RUN: &str = concat!(
    common!(),
    r#"
unit=$1 last=$2
# systemd calls it a success when a condition kept a unit from starting.
[ ! -e "$marker" ] || { echo "the config sync is frozen by $marker" >&2; exit 1; }
once() {
  systemctl start "$unit" || {
    journalctl --no-pager -q -o cat -n 5 -u "$unit" >&2 || true
    exit 1
  }
}
once
# A start while a run is under way only waits for that one, which may have begun too early to count.
if [ "$(systemctl show -p ExecMainStartTimestampMonotonic --value "$unit")" = "$last" ]; then once; fi
"#
);
