# A server on directory $1 that is none of the pair's: it listens on this machine only, at port $2, and replicates nothing.

# Stops what runs on directory $1; also what an earlier try has left.
end_private() {
  local pid
  pid=$(runs_on "$1") || return 0
  tool gs_ctl stop -D "$1" -m immediate > /dev/null 2>&1 || kill -QUIT "$pid" 2>/dev/null || true
  while runs_on "$1" >/dev/null; do sleep 0.05; done
}

open_private() {
  local said
  sed -i '/^ *replconninfo/d; /^ *listen_addresses/d; /^ *local_bind_address/d; /^ *port *=/d; /^ *archive_mode/d' "$1/postgresql.conf"
  printf "listen_addresses = '127.0.0.1'\nlocal_bind_address = '127.0.0.1'\nport = %s\n" "$2" >> "$1/postgresql.conf"
  said=$(lasting told gs_ctl start -D "$1" -l "$1/rollup-start.log" -t 600)
  runs_on "$1" > /dev/null || { echo "the unpacked database does not come up:" >&2; printf '%s\n' "$said" | tail -n 5 >&2; exit 4; }
}
