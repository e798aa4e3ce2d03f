# Stops the server of unit $1 within $2 seconds. From now on it comes up as a standby, whatever starts it.
halt() {
  local pid
  if [ -d "$data" ]; then
    [ -e "$data/standby.signal" ] || : > "$data/standby.signal"
    chown --reference="$data" "$data/standby.signal"
    sync "$data/standby.signal" "$data"
  fi
  if pid=$(postmaster); then
    # The stop ends with a checkpoint: most of its work is done here, before.
    sql -c checkpoint >/dev/null 2>&1 || true
    stop_fast "$pid" "$2"
  fi
  # A unit that restarts by itself does so until systemd is told.
  systemctl stop "$1" 2>/dev/null || true
  if pid=$(postmaster); then stop_fast "$pid" "$2"; fi
  insist_stopped
}
