# For work beside a server that serves: it takes only what others leave.
gently=(nice -n 10)
! command -v ionice >/dev/null || gently+=(ionice -c 3)

# Bytes as people read them.
amount() {
  if [ "$1" -ge 1073741824 ]; then
    printf '%d.%d GiB' "$(($1 / 1073741824))" "$(($1 % 1073741824 * 10 / 1073741824))"
  else
    printf '%d MiB' "$((($1 + 1048575) / 1048576))"
  fi
}

# Refuses unless $2 bytes are free where directory $1 lies.
insist_space() {
  local free
  free=$(df -B1 --output=avail "$1" | tail -n 1 | tr -d ' ')
  [ "$free" -ge "$2" ] || refuse "not enough space in $1: expected $(amount "$2") free, found $(amount "$free")"
}
