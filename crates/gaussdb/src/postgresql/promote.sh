# $1 `shutdown` or `standby` $2 position, both as the other node's script printed them $3 seconds to wait for it.
# Promotes only after this server has replayed all that the old primary ever acknowledged. Status 3: not promoted.
status=0
said=$(sql -v kind="$1" -v target="$2" -v wait="$3" 2>&1 <<'SQL'
set statement_timeout = 0;
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
) || status=$?
[ "$status" -ne 0 ] || exit 0
printf '%s\n' "$said" >&2
# Only these two are known to come before the promotion was asked for; anything else may have come after.
case $said in *'replayed up to'*|*'psql: error: connection to server'*) exit 3 ;; esac
exit 6
