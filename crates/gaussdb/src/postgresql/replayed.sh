# $1 a position of the primary. Waits up to two seconds until it is replayed here: under load the next look would chase
# a position that has moved on.
sql -v target="$1" <<'SQL'
select set_config('rollup.target', :'target', false) \g /dev/null
do $$
declare last timestamptz := clock_timestamp() + interval '2 s';
begin
  while pg_is_in_recovery() and clock_timestamp() < last
    and coalesce(pg_last_wal_replay_lsn(), '0/0') < current_setting('rollup.target')::pg_lsn
  loop perform pg_sleep(0.05); end loop;
end $$;
select jsonb_build_object('standby', pg_is_in_recovery(), 'replay_lsn', pg_last_wal_replay_lsn(),
  'receiver', (select status from pg_stat_wal_receiver));
SQL
