# For scripts that put another data directory in place of the node's own. What they make carries the run it was made for
# in the file `rollup-restored`, written last: a directory without it is not whole.
new=$data.rollup-new old=$data.rollup-old part=$data.rollup-new.partial spent=$data.rollup-spent

# The run that directory $1 was made for, or nothing.
marker() { head -n 1 "$1/rollup-restored" 2>/dev/null | tr -cd 'A-Za-z0-9._-' || true; }

# `plain`, `link`, `mount-point` or `absent`. Only a plain directory can be renamed.
kind() {
  if [ -L "$data" ]; then echo link
  elif [ ! -e "$data" ]; then echo absent
  elif mountpoint -q "$data"; then echo mount-point
  else echo plain; fi
}

insist_plain() {
  case $(kind) in
    plain | absent) ;;
    *) refuse "$data is a $(kind): expected a plain directory that can be renamed" ;;
  esac
  # What was replaced is kept until the new server was seen; a copy of ours in between is not what was replaced.
  if [ -e "$old" ] && [ -e "$data" ] && [ -z "$(marker "$data")" ]; then
    refuse "$old is left from an earlier exchange: expected none; look at it, then: rm -r $old"
  fi
}

insist_stopped() { ! postmaster >/dev/null || { echo "the server came up again by itself" >&2; exit 5; }; }

# Puts $new in the place of the stopped server's directory. Between the two renames there is no data directory, so
# nothing can start; that state is finished by the same call.
exchange() {
  local aside=$old parent
  parent=$(dirname "$data")
  insist_plain
  insist_stopped
  if [ -e "$data" ]; then
    if [ -e "$old" ]; then aside=$spent; rm -rf "$spent"; fi
    mv -T "$data" "$aside"
    sync "$parent"
  fi
  mv -T "$new" "$data"
  sync "$parent"
  mine=$data
}

# Makes $part, empty, and room for $1 bytes in it.
begin_part() {
  end_private "$part" QUIT
  rm -rf "$part" "$new" "$spent"
  insist_space "$(dirname "$data")" "$1"
  install -d -o "$user" -g "$(id -gn "$user")" -m "$(stat -c %a "$mine" 2>/dev/null || echo 700)" "$part"
}

# What belongs to the node and not to the data: settings and certificates that lie in the data directory.
keep_own_settings() {
  local file
  for file in "$mine"/*.conf "$mine"/*.crt "$mine"/*.key "$mine"/*.pem "$mine"/conf.d; do
    [ -e "$file" ] || continue
    rm -rf "$part/${file##*/}"
    cp -a "$file" "$part/"
  done
}

# Everything in $part is there, and its maker has it on disk but for what was put beside it here: says so in it, for run
# $1, and gives it its name.
finish_part() {
  printf '%s\n' "$1" > "$part/rollup-restored"
  chmod 0600 "$part/rollup-restored"
  chown --reference="$part" "$part/rollup-restored"
  find "$part" -maxdepth 1 -type f -exec sync {} +
  [ ! -d "$part/conf.d" ] || find "$part/conf.d" -exec sync {} +
  sync "$part"
  mv -T "$part" "$new"
  sync "$(dirname "$data")"
}
