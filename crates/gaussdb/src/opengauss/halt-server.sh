# Stops the server within $2 seconds, where this node has address $1; whatever starts it in its last role starts a standby.
halt() {
  # Most of the work of the stop is done here, before.
  if postmaster > /dev/null; then sql <<< 'checkpoint;' > /dev/null 2>&1 || true; fi
  stop_server "$2" "$1"
  insist_stopped
  if [ -e "$data/postmaster.opts" ]; then
    sed 's/"-M" "primary"/"-M" "standby"/; s/-M primary/-M standby/' "$data/postmaster.opts" > "$data/postmaster.opts.tmp"
    chown --reference="$data" "$data/postmaster.opts.tmp"
    sync "$data/postmaster.opts.tmp"
    mv "$data/postmaster.opts.tmp" "$data/postmaster.opts"
    sync "$data"
  fi
}
