# Fills /opt/orders/data. Argument: its size in MiB, half of it noise.
set -euo pipefail
mib=$1
install -d -o orders -g orders /opt/orders/data
cd /opt/orders/data
for number in $(seq $(((mib + 3) / 4))); do
    { head -c 2M /dev/urandom; seq -f 'invoice %08.0f paid on time' "$((number * 100000))" 9999999999 2> /dev/null | head -c 2M; } \
        > "$(printf 'part-%04d' "$number")" || true
done
chown -R orders:orders .
