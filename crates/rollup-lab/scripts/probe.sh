# What one node knows about itself, as key=value. Arguments: the VIP, then the health URLs.
vip=$1
shift
cd /
# The server itself is asked, past any stand-in for another product's client.
if [ -e /home/omm/gauss_env ]; then
    query() { runuser -u omm -- /usr/lib/postgresql/15/bin/psql -h /opt/huawei/tmp -p 15400 -d postgres -XAtc "$1" 2> /dev/null; }
else
    query() { runuser -u postgres -- psql -XAtc "$1" 2> /dev/null; }
fi
echo "recovery=$(query 'select pg_is_in_recovery()')"
echo "streaming=$(query "select count(*) from pg_stat_replication where state = 'streaming'")"
echo "vip=$(ip -o -4 address show dev eth0 | grep -c " $vip/")"
for url in "$@"; do
    echo "health=$(curl -s -o /dev/null -m 2 -w '%{http_code}' "$url")"
done
echo "failed=$(systemctl list-units --failed --plain --no-legend | sed 's/ .*//' | tr '\n' ' ')"
echo "version=$(cat /opt/orders/VERSION 2> /dev/null)"
