# $1 backup directory $2 name of the set $3 run. Prints what the drill of this run has proven; nothing when there was
# none.
cat "$1/$2/drill-db-$3.json" 2>/dev/null || true
