# Lends the tree to the other node: a server of rsync that only reads, that only one address reaches, with a password that
# was made for it, and that ends by itself. $1 staging directory $2 unit $3 own address $4 the other's $5 seconds.
# Prints `PORT PASSWORD`, or `none` where there is no rsync.
umask 077
dir=$1 unit=$2 own=$3 peer=$4 limit=$5
command -v rsync > /dev/null 2>&1 || { echo none; exit 0; }
systemctl stop "$unit" 2> /dev/null || true
mkdir -p "$dir/serve"
password=$(head -c 16 /dev/urandom | od -An -v -tx1 | tr -d ' \n')
printf 'rollup:%s\n' "$password" > "$dir/serve/secrets"
listens() { [ -n "$(ss -Hltn "sport = :$1")" ]; }
for _ in {1..20}; do
  port=$((49152 + RANDOM % 16384))
  listens "$port" || break
done
cat > "$dir/serve/rsyncd.conf" <<END
address = $own
port = $port
max connections = 4
timeout = 60
log file = /dev/null
[tree]
path = $dir/tree
use chroot = yes
read only = yes
list = no
uid = root
gid = root
hosts allow = $peer
auth users = rollup
secrets file = $dir/serve/secrets
END
systemd-run --quiet --collect --unit="$unit" --property=RuntimeMaxSec="$limit" -- \
  rsync --daemon --no-detach --config="$dir/serve/rsyncd.conf"
for _ in {1..100}; do
  if listens "$port"; then printf '%s %s\n' "$port" "$password"; exit 0; fi
  sleep 0.02
done
echo "rsync does not listen on $own, port $port" >&2
exit 1
