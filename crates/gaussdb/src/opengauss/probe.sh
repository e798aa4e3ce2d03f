# $1 unit $2 address of the other node (may be empty) $3 replication user $4 own address
#
# What the tools print is passed on as it is, each line behind `| `, after `tool NAME STATUS`.
pass_on() {
  local name=$1 said; shift
  said=$(told "$@")
  printf 'tool %s %s\n' "$name" "$(printf '%s\n' "$said" | sed -n '1s/^status //p')"
  printf '%s\n' "$said" | sed '1d; s/^/| /'
}
printf 'unit %s\n' "$(systemctl show -p ActiveState --value "$1" 2>/dev/null)"
printf 'size-kb %s\n' "$(timeout 3 du -skx "$data" 2>/dev/null | cut -f 1)"
# The role that a start without one would take, as the last start left it.
last=$(sed -n 's/.*"-M" "\([a-z_]*\)".*/\1/p; s/.* -M \([a-z_]*\).*/\1/p' "$mine/postmaster.opts" 2>/dev/null | tail -n 1)
printf 'last-mode %s\n' "${last:-none}"
[ ! -e /var/lib/rollup/database-relaxed ] || printf 'relaxed %s\n' "$(head -n 1 /var/lib/rollup/database-relaxed)"
# In the middle of a way back they are its own.
if [ ! -e "$data/rollup-restored" ]; then
  for place in "$data".rollup-*; do [ ! -e "$place" ] || printf 'left %s\n' "$place"; done
fi
state=$(control)
printf '%s\n' "$state" | grep -E "^(Database system identifier|Database cluster state|Latest checkpoint location|\
Latest checkpoint's TimeLineID|Latest checkpoint's REDO location|pg_controldata):" | sed 's/^/control /' || true
when=$(printf '%s\n' "$state" | sed -n 's/^Time of latest checkpoint: *//p')
if when=$(date -d "$when" +%s 2>/dev/null); then printf 'checkpoint-age %s\n' $(($(date +%s) - when)); fi
manager=$(manager)
printf 'manager %s\n' "$manager"
for program in gs_ctl gsql; do
  tool bash -c "command -v $program" > /dev/null 2>&1 || printf 'lacks %s\n' "$program"
done
tool bash -c 'command -v gs_probackup || command -v gs_basebackup' > /dev/null 2>&1 || echo 'lacks gs_probackup or gs_basebackup'
printf 'remote %s\n' "$(sed -n "s/^ *replconninfo[0-9]* *=.*remotehost=\([^ ']*\).*/\1/p" "$mine/postgresql.conf" 2>/dev/null | tr '\n' ' ')"
pass_on query gs_ctl query -D "$data"
[ "$manager" != running ] || pass_on cm cm_ctl query -Cvipd
if postmaster > /dev/null; then
  tab=$(printf '\t')
  said=$(sql -F "$tab" 2>&1 <<'SQL'
set statement_timeout = 5000;
select 'version', version();
select 'current', case when pg_is_in_recovery() then '' else pg_current_xlog_location() end;
select 'received', coalesce(pg_last_xlog_receive_location(), '');
select 'replayed', case when pg_is_in_recovery() then (select coalesce(lsn, '') from pg_last_xlog_replay_location()) else '' end;
select 'next-xid', txid_snapshot_xmax(txid_current_snapshot());
select 'last-commit', coalesce(to_char(case when pg_is_in_recovery() then pg_last_xact_replay_timestamp() end at time zone 'UTC',
  'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), '');
select 'paused', case when pg_is_in_recovery() then pg_is_xlog_replay_paused() else false end;
select 'setting', name, setting, coalesce(unit, '') from pg_settings where name in ('wal_level', 'max_wal_senders',
  'synchronous_standby_names', 'synchronous_commit', 'most_available_sync', 'default_transaction_read_only', 'upgrade_mode',
  'enable_dcf', 'recovery_min_apply_delay');
select 'tablespaces', count(*) from pg_tablespace where spcname not in ('pg_default', 'pg_global');
select 'oldest', floor(extract(epoch from clock_timestamp() - xact_start)), pid,
  usename || coalesce(' ' || nullif(application_name, ''), ''), state || ': ' || substr(regexp_replace(query, E'\\s+', ' ', 'g'), 1, 80)
from pg_stat_activity
where xact_start is not null and datname is not null and pid <> pg_backend_pid() order by xact_start limit 1;
select 'prepared', floor(extract(epoch from clock_timestamp() - prepared)), owner, gid
from pg_prepared_xacts order by prepared limit 1;
select 'history-kept', count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = 'rollup_history' and c.relname = 'migrations';
SQL
  ) && answered=yes || answered=no
  case $said in *"history-kept${tab}1"*)
    said="$said
$(sql -F "$tab" 2>&1 <<'SQL' || true
select 'applied', version, phase, name, checksum, kind, run from rollup_history.migrations order by started;
SQL
    )" ;;
  esac
  printf 'sql %s\n' "$answered"
  printf '%s\n' "$said" | sed 's/^/| /'
fi
