//! The change of the configuration.

use super::common;

/// Replaces files of the configuration by the texts on stdin and proves that the running daemon took them; else puts
/// the old ones back.
///
/// `$1` unit, `$2` configuration file, `$3` the mark to leave, or nothing where no override of ours is left, `$4` number
/// of files, `$5` number of instances; then for each file its path, the SHA-256 it must have now, the one of its new
/// text, and that text's length in bytes; then for each instance its name, the base priority the daemon must have
/// afterwards (`!N`: any other than N), and whether it must run with `nopreempt` (`true`, `false`). The texts follow one
/// another on stdin.
///
/// Run again, it finds the new texts in place and does not reload a daemon that has them: each reload starts the node's
/// wait for the address anew. `reload` itself answers before anything was read, and answers well to a broken file,
/// hence the proof by the daemon's own account. A file that ends a daemon would leave the address on this node and on
/// the other one, so nothing takes its place that `keepalived -t` judges otherwise than the present one.
pub(crate) const OVERRIDE: &str = concat!(
    common!(),
    r#"
unit=$1 conf=$2 mark=$3 files=$4 instances=$5; shift 5
fail() { echo "$*" >&2; exit 1; }
sum() { sha256sum <"$1" | cut -d ' ' -f 1; }
exec 8>>/run/lock/rollup-keepalived-edit.lock
flock -w 10 8 || fail "another edit of $conf is under way"
state=/var/lib/rollup/keepalived
install -d -m 0700 /var/lib/rollup "$state"
pid=$(systemctl show -p MainPID --value "$unit")
[ "${pid:-0}" -gt 0 ] || fail "$unit is not running, so nothing is changed"

work=$(mktemp -d -p "$state")
paths=() olds=() news=() besides=() replaced=()
clean() { rm -rf -- "$work"; [ ${#besides[@]} = 0 ] || rm -f -- "${besides[@]}"; }
trap clean EXIT
cat >"$work/all"
offset=1
for at in $(seq 0 $((files - 1))); do
  path=$(readlink -f -- "$1")
  paths+=("$path") olds+=("$2") news+=("$3")
  tail -c "+$offset" "$work/all" | head -c "$4" >"$work/$at"
  offset=$((offset + $4))
  [ "$(sum "$work/$at")" = "$3" ] || fail "the new text of $path did not arrive in full"
  # A leading dot: `include *.conf` does not match it.
  besides+=("$(dirname -- "$path")/.rollup.$(basename -- "$path")")
  shift 4
done
rm -f -- "$work/all"
wanted=("$@")

differs() { # instance, base, nopreempt: says what the daemon has instead
  local now; now=$(account "$pid" "$1")
  set -- "$1" "$2" "$3" $now
  case $2 in
    !*) [ -n "$now" ] && [ "$4" != "${2#!}" ] && [ "$6" = "$3" ] && return 1 ;;
    *) [ "${4:-} ${6:-}" = "$2 $3" ] && return 1 ;;
  esac
  said="expected priority $2 (nopreempt $3) for $1, found ${4:-none} (nopreempt ${6:-unknown})"
}
taken() {
  local at
  for at in $(seq 0 3 $((3 * (instances - 1)))); do
    if differs "${wanted[at]}" "${wanted[at + 1]}" "${wanted[at + 2]}"; then return 1; fi
  done
}
like_the_original() { # owner, mode and attributes, before any content
  rm -f -- "$2"
  cp -a -- "$1" "$2"
}
put() { # content, place, beside
  like_the_original "$2" "$3"
  cat -- "$1" >"$3"
  sync -- "$3"
  mv -f -- "$3" "$2"
  if command -v restorecon >/dev/null; then restorecon -- "$2" || true; fi
  sync -- "$(dirname -- "$2")"
}
count() { grep -c '^[^#!]*vrrp_instance' "$1" || true; }
judged() { # its status, and how many lines it says
  local said status=0
  said=$(keepalived -t -f "$conf" ${id:+-i "$id"} 2>&1) || status=$?
  printf '%s, %s lines\n%s\n' "$status" "$(printf '%s' "$said" | grep -c '')" "$said"
}

change=()
for at in "${!paths[@]}"; do
  found=$(sum "${paths[at]}")
  [ "$found" != "${news[at]}" ] || continue
  [ "$found" = "${olds[at]}" ] || fail "${paths[at]} was changed meanwhile: expected sha256 ${olds[at]}, found $found"
  [ -s "$work/$at" ] && [ "$(count "$work/$at")" = "$(count "${paths[at]}")" ] || fail "the new text of ${paths[at]} has other instances"
  change+=("$at")
done
if [ ${#change[@]} -gt 0 ]; then
  # Warnings are normal in files that work, so the judgement is compared, not asked to be good. The new texts are seen
  # at the old ones' places, by this test alone.
  id=$(option "$pid" i config-id)
  before=$(judged)
  mounts=()
  for at in "${change[@]}"; do mounts+=("$work/$at" "${paths[at]}"); done
  after=$(export -f judged; export conf id; unshare --mount bash -c '
    while [ $# -gt 0 ]; do mount --bind "$1" "$2" || exit 1; shift 2; done
    judged' test "${mounts[@]}") || fail "the new texts could not be tested in place"
  # Any other status stands for a text that ends the daemon, here or at the next start.
  case ${before%%,*} in 0|5|6) ;; *) fail "keepalived -t ended with ${before%%,*} for the present files: ${before#*$'\n'}" ;; esac
  [ "${before%%$'\n'*}" = "${after%%$'\n'*}" ] ||
    fail "keepalived -t ended with ${before%%$'\n'*} for the present files, with ${after%%$'\n'*} for the new ones: ${after#*$'\n'}"
  for at in "${change[@]}"; do
    cp -a -- "${paths[at]}" "$work/orig.$at"
    if [ ! -e "$state/${olds[at]}" ]; then
      cp -a -- "${paths[at]}" "$work/kept"
      sync -- "$work/kept"
      mv -f -- "$work/kept" "$state/${olds[at]}"
    fi
  done
  if [ -n "$mark" ]; then
    printf '%s\n' "$mark" >"$work/mark"
    sync -- "$work/mark"
    mv -f -- "$work/mark" "$state/edited.json"
    sync -- "$state"
  fi
  for at in "${change[@]}"; do put "$work/$at" "${paths[at]}" "${besides[at]}"; done
fi

done_with() {
  # Without an override the original is where it was, and its copy has no purpose.
  if [ -z "$mark" ]; then
    rm -f -- "$state/edited.json"
    find "$state" -maxdepth 1 -type f -regextype posix-extended -regex '.*/[0-9a-f]{64}' -delete
  fi
  echo "$1"
  exit 0
}
if taken; then
  [ ${#change[@]} -gt 0 ] || done_with "in place"
  # Nothing that can be asked for tells the new text from the old: give the reload time to be done, or to go wrong.
  systemctl reload "$unit" || true
  sleep 0.5
else
  systemctl reload "$unit" || true
fi
for _ in $(seq 40); do
  [ "$(systemctl show -p MainPID --value "$unit")" = "$pid" ] || break
  if taken; then done_with "reloaded"; fi
  sleep 0.05
done

# The daemon did not take it. What it runs with and what is on disk must not differ: back to the original.
back="the files could not be put back, since their originals are not known"
if [ ${#change[@]} -gt 0 ]; then
  for at in "${change[@]}"; do put "$work/orig.$at" "${paths[at]}" "${besides[at]}"; done
  back="the original files are back"
fi
if systemctl is-active --quiet "$unit"; then systemctl reload "$unit" || true; else
  systemctl reset-failed "$unit" || true
  systemctl start "$unit" || true
fi
fail "keepalived did not take the new priority: ${said:-it is not running any more}; $back"
"#
);
