# Runs inside the image of the initial primary: the cluster, what SQL of openGauss expects, the roles, the database and
# its first rows. No fsync and no replication while nobody depends on it.
set -eu

data=/opt/huawei/install/data/dn
bin=/usr/lib/postgresql/15/bin
cd /
as_omm() { runuser -u omm -- "$@"; }
as_omm "$bin/initdb" -D "$data" -U omm --auth=trust --locale=C.UTF-8 --encoding=UTF8 --data-checksums > /dev/null
as_omm "$bin/pg_ctl" -D "$data" -w -l /dev/null -o \
    "-c listen_addresses='' -c fsync=off -c allow_system_table_mods=on -c max_wal_senders=4 -k /opt/huawei/tmp -p 15400" start > /dev/null
query() { as_omm "$bin/psql" -h /opt/huawei/tmp -p 15400 -X -q -v ON_ERROR_STOP=1 "$@"; }
query -d template1 -f /opt/huawei/install/shim/compat.sql
query -d postgres -f /opt/huawei/install/shim/compat.sql
query -d postgres -f /var/tmp/provision/roles.sql
query -d postgres -c "create database orders owner orders"
for migration in /var/tmp/provision/migrations/*.sql; do
    [ -e "$migration" ] || continue
    query -d orders -c "set role orders" -f "$migration"
done
if [ -e /var/tmp/provision/rows.sql ]; then
    query -d orders -c "set role orders" -f /var/tmp/provision/rows.sql
fi
as_omm "$bin/pg_ctl" -D "$data" -w -m fast stop > /dev/null
