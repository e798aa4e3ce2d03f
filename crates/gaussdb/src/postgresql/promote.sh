# $1 seconds to wait for replay. Connects and says `ready`; then reads one line, `shutdown LSN` or `standby LSN`, as the
# other node's script printed it, waits until this server has replayed all that the old primary ever acknowledged, and
# promotes it. Connecting first keeps the time in which nobody writes short. Status 3: not promoted.
exec 3>&1
questions() {
  printf '%s\n' 'set statement_timeout = 0;' "select 'ready';"
  local kind target
  read -r kind target || true
  case ${kind:-}:${target:-} in
    shutdown:*[!0-9A-Fa-f/]*|standby:*[!0-9A-Fa-f/]*) ;;
    shutdown:*/*|standby:*/*) printf '\\set kind %s\n\\set target %s\n\\set wait %s\n' "$kind" "$target" "$1"; cat <<'SQL'; return ;;
select set_config('rollup.kind', :'kind', false), set_config('rollup.target', :'target', false),
  set_config('rollup.wait', :'wait', false) \g /dev/null
do $$
declare
  last timestamptz := clock_timestamp() + current_setting('rollup.wait')::int * interval '1 s';
  target pg_lsn := current_setting('rollup.target');
  at pg_lsn;
begin
  while pg_is_in_recovery() loop
    at := coalesce(pg_last_wal_replay_lsn(), '0/0');
    exit when at > target or (at = target and current_setting('rollup.kind') = 'standby');
    if clock_timestamp() > last then
      raise exception 'replayed up to % only, but the old primary wrote up to %', at, target;
    end if;
    perform pg_sleep(0.002);
  end loop;
end $$;
select case when pg_is_in_recovery() then pg_promote(false) end \g /dev/null
do $$
declare last timestamptz := clock_timestamp() + interval '30 s';
begin
  while pg_is_in_recovery() loop
    if clock_timestamp() > last then raise exception 'asked to become primary, but still in recovery after 30 s'; end if;
    perform pg_sleep(0.002);
  end loop;
end $$;
SQL
  esac
  printf '%s\n' "do \$\$ begin raise exception 'nobody said up to where the old primary wrote'; end \$\$;"
}
status=0
said=$(questions "$1" | sql 2>&1 >&3) || status=$?
[ "$status" -ne 0 ] || exit 0
printf '%s\n' "$said" >&2
# Only these are known to come before the promotion was asked for; anything else may have come after.
case $said in *'replayed up to'*|*'nobody said up to where'*|*'psql: error: connection to server'*) exit 3 ;; esac
exit 6
