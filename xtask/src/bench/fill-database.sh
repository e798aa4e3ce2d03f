# Fills the database of the primary. Argument: its size in MiB. Half of each row is text as people write it, half is
# noise that nothing compresses.
set -euo pipefail
mib=$1
cd /
query() { runuser -u postgres -- psql -qXAt -v ON_ERROR_STOP=1 -d orders "$@"; }
query <<'SQL'
create extension if not exists pgcrypto;
create table filling (id bigserial primary key, item text, address text, picture bytea);
alter table filling alter column picture set storage plain;
SQL
left=$mib
while [ "$left" -gt 0 ]; do
    now=$((left < 64 ? left : 64))
    # 945 rows and their places in the index are about one MiB.
    query -v rows=$((now * 945)) <<'SQL'
insert into filling (item, address, picture)
select 'order ' || n || ': ' || (n % 7 + 1) || ' x lamp, standing, brass, with a shade of linen and a switch of oak; ' ||
       'to be wrapped as a gift, with a card that says: many happy returns of the day from all of us',
       'street of the ' || n % 97 || ' roses ' || n % 211 || ', ' || 10000 + n % 8999 || ' somewhere; second door, ' ||
       'please ring twice and leave it with the neighbour on the ground floor when nobody answers the bell today; ' ||
       'deliver between ' || n % 12 || ' and ' || n % 12 + 2 || ' on any working day but not on a public holiday',
       gen_random_bytes(500)
from generate_series(1, :rows) n;
SQL
    left=$((left - now))
done
query -c 'vacuum (analyze, freeze) filling' -c checkpoint
# The standby must have everything, written and replayed, before anything is measured.
end=$(query -c 'select pg_current_wal_lsn()')
until [ "$(query -c "select coalesce(bool_and(replay_lsn >= '$end'), false) from pg_stat_replication")" = t ]; do
    sleep 0.5
done
