# Runs inside the image of every node once its data directory is there: its own configuration and its first role, MODE.
set -eu

data=/opt/huawei/install/data/dn
install -o omm -g omm -m 0600 /var/tmp/provision/postgresql.conf "$data/postgresql.conf"
install -o omm -g omm -m 0600 /var/tmp/provision/pg_hba.conf "$data/pg_hba.conf"
# A cluster that was never started has no role yet: the next start takes this one.
printf '%s\n' "/opt/huawei/install/app/bin/gaussdb \"-D\" \"$data\" \"-M\" \"$MODE\"" > "$data/postmaster.opts"
chown omm:omm "$data/postmaster.opts"
chmod 0600 "$data/postmaster.opts"
