insist_zstd() { command -v zstd >/dev/null || refuse "zstd is missing on this node: install the package zstd"; }

# Whether directory $1 holds a database of a set with every file as long as it was when it was written.
is_whole() {
  local size name
  [ -e "$1/record.json" ] && [ -e "$1/sums" ] || return 1
  while read -r _ size name; do
    [ "$(stat -c %s "$1/$name" 2>/dev/null)" = "$size" ] || return 1
  done < "$1/sums"
}
