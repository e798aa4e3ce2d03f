# $1 unit $2 address of the other node (may be empty) $3 replication user $4 own address
printf 'unit %s\n' "$(systemctl show -p ActiveState --value "$1" 2>/dev/null)"
printf 'size-kb %s\n' "$(timeout 3 du -skx "$data" 2>/dev/null | cut -f 1)"
[ -e "$data/standby.signal" ] && echo 'signal yes' || echo 'signal no'
[ ! -e /var/lib/rollup/database-relaxed ] || printf 'relaxed %s\n' "$(head -n 1 /var/lib/rollup/database-relaxed)"
# In the middle of a way back they are its own.
if [ ! -e "$data/rollup-restored" ]; then
  for place in "$data".rollup-*; do [ ! -e "$place" ] || printf 'left %s\n' "$place"; done
fi
control 2>&1 | grep -E "^(Database system identifier|Database cluster state|Latest checkpoint location|\
Latest checkpoint's TimeLineID|pg_controldata):" | sed 's/^/control /'
if postmaster >/dev/null; then
  answer=$(sql -F ' ' 2>&1 <<'SQL'
select 'server', jsonb_build_object(
  'role', case when r.standby then 'standby' else 'primary' end,
  'version', split_part(current_setting('server_version'), ' ', 1),
  'timeline', case when r.standby
    then coalesce((select received_tli from pg_stat_wal_receiver), (select timeline_id from pg_control_checkpoint()))
    else ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int end,
  'current_lsn', case when r.standby then null else pg_current_wal_lsn() end,
  'receive_lsn', pg_last_wal_receive_lsn(),
  'replay_lsn', case when r.standby then pg_last_wal_replay_lsn() end,
  'next_xid', pg_snapshot_xmax(pg_current_snapshot())::text::bigint,
  'last_commit', to_char(case when r.standby then pg_last_xact_replay_timestamp()
    when current_setting('track_commit_timestamp') = 'on' then (select timestamp from pg_last_committed_xact()) end
    at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
  'checkpoint', (select jsonb_build_object('redo_lsn', redo_lsn,
      'age_s', greatest(0, extract(epoch from now() - checkpoint_time)::bigint)) from pg_control_checkpoint()),
  'walsenders', (select coalesce(jsonb_agg(jsonb_build_object(
      'application_name', application_name, 'client_addr', host(client_addr), 'state', state, 'sync_state', sync_state,
      'sent_lsn', sent_lsn, 'flush_lsn', flush_lsn, 'replay_lsn', replay_lsn)
      order by application_name), '[]') from pg_stat_replication),
  'receiver', (select jsonb_build_object('status', status, 'sender_host', sender_host, 'sender_port', sender_port)
      from pg_stat_wal_receiver),
  'upstream', substring(current_setting('primary_conninfo') from 'host=''?([^ '']+)'),
  'settings', jsonb_build_object(
    'wal_level', current_setting('wal_level'),
    'max_wal_senders', current_setting('max_wal_senders')::int,
    'synchronous_standby_names', current_setting('synchronous_standby_names'),
    'synchronous_commit', current_setting('synchronous_commit'),
    'read_only', current_setting('default_transaction_read_only') = 'on'),
  'oldest_transaction', (select jsonb_build_object('age_s', age, 'pid', pid, 'who', who, 'what', what) from (
      select extract(epoch from clock_timestamp() - xact_start)::bigint as age, pid,
        usename || coalesce(' ' || nullif(application_name, ''), '') as who,
        state || ': ' || left(regexp_replace(query, '\s+', ' ', 'g'), 80) as what
      from pg_stat_activity
      where backend_type = 'client backend' and xact_start is not null and pid <> pg_backend_pid()
      union all
      select extract(epoch from clock_timestamp() - prepared)::bigint, null, owner, 'prepared: ' || gid
      from pg_prepared_xacts
      order by 1 desc limit 1) oldest),
  'slots', (select coalesce(jsonb_agg(slot_name order by slot_name), '[]')
      from pg_replication_slots where slot_type = 'physical' and not temporary),
  'tablespaces', (select count(*) from pg_tablespace where spcname not in ('pg_default', 'pg_global')),
  'replay_paused', case when r.standby then pg_is_wal_replay_paused() else false end,
  'apply_delay_ms', (extract(epoch from current_setting('recovery_min_apply_delay')::interval) * 1000)::bigint
) from (select pg_is_in_recovery() as standby) r;
select to_regclass('rollup_history.migrations') is not null as kept \gset
\if :kept
select 'history', coalesce(jsonb_agg(jsonb_build_object('version', version, 'phase', phase, 'name', name,
  'checksum', checksum, 'kind', kind, 'run', run) order by started), '[]') from rollup_history.migrations;
\endif
SQL
  ) || answer="silent $(printf '%s' "$answer" | tr '\n' ' ')"
  printf '%s\n' "$answer"
  case $answer in server*)
    if said=$(replication_login "$socket" "$user" 2>&1) || said=$(replication_login "$4" "$3" 2>&1)
    then echo 'login here ok'; else printf 'login here %s\n' "$(printf '%s' "$said" | tr '\n' ' ')"; fi ;;
  esac
  case $answer in *'"role": "primary"'*)
    if [ -n "$2" ]; then
      if said=$(replication_login "$2" "$3" 2>&1)
      then echo 'login peer ok'; else printf 'login peer %s\n' "$(printf '%s' "$said" | tr '\n' ' ')"; fi
    fi ;;
  esac
fi
