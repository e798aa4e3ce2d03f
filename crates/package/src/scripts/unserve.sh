# Lends no longer. $1 staging directory $2 unit.
systemctl stop "$2" 2> /dev/null || true
rm -rf "$1/serve"
