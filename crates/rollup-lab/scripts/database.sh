# Runs inside the image of the initial primary: makes the cluster, the roles, the database and its first rows.
# Migrations wait in /var/tmp/provision/migrations, in the order of their names.
set -eu

pg_createcluster --locale C.UTF-8 --encoding UTF8 15 main > /dev/null
install -o postgres -g postgres -m 0644 /var/tmp/provision/postgresql.conf /etc/postgresql/15/main/conf.d/lab.conf
install -o postgres -g postgres -m 0640 /var/tmp/provision/pg_hba.conf /etc/postgresql/15/main/pg_hba.conf
install -d -o postgres -g postgres -m 2775 /run/postgresql

# No TCP and no fsync while nobody depends on it: this cluster is stopped cleanly and synced with its directory.
pg_ctlcluster --skip-systemctl-redirect 15 main start -o "-c listen_addresses='' -c fsync=off"
cd /
query() { runuser -u postgres -- psql -X -q -v ON_ERROR_STOP=1 "$@"; }
query -f /var/tmp/provision/roles.sql
query -c "create database orders owner orders"
for migration in /var/tmp/provision/migrations/*.sql; do
    [ -e "$migration" ] || continue
    query -d orders -c "set role orders" -f "$migration"
done
if [ -e /var/tmp/provision/rows.sql ]; then
    query -d orders -c "set role orders" -f /var/tmp/provision/rows.sql
fi
pg_ctlcluster --skip-systemctl-redirect 15 main stop
