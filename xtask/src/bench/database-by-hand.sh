# The database part of a set as typed by hand on the standby. Argument: its address, which replication may connect to.
set -euo pipefail
address=$1
umask 077
mkdir -p /var/backups/rollup/by-hand
cd /var/backups/rollup/by-hand
runuser -u postgres -- env -C / pg_basebackup -h "$address" -U replicator -w -D - -Ft -X fetch -c fast | zstd -q -T0 -3 |
    tee >(sha256sum | sed 's/-$/base.tar.zst/' > base.sums) > base.tar.zst
sync base.tar.zst
