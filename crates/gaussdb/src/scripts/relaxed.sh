# What was set before commits were let go on without a standby, in the engine's own words; kept until it is put back.
relaxed=/var/lib/rollup/database-relaxed

# Keeps $1, unless something is kept already: a second try has found what the first one made.
keep_before() {
  [ ! -e "$relaxed" ] || return 0
  mkdir -p "${relaxed%/*}"
  printf '%s\n' "$1" > "$relaxed.tmp"
  sync "$relaxed.tmp"
  mv "$relaxed.tmp" "$relaxed"
  sync "${relaxed%/*}"
}
forget_before() { rm -f "$relaxed"; sync "${relaxed%/*}"; }
