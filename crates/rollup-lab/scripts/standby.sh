# Runs inside the image of a standby, whose cluster and configuration are a cold copy of the primary's.
set -eu

runuser -u postgres -- touch /var/lib/postgresql/15/main/standby.signal
runuser -u postgres -- sh -c 'cat >> /var/lib/postgresql/15/main/postgresql.auto.conf' \
    < /var/tmp/provision/postgresql.auto.conf
