# $1 backup directory $2 name of the set. Prints what the finished backup says of itself; nothing when there is none.
[ ! -e "$1/$2/database/backup_manifest" ] || cat "$1/$2/database.json" 2>/dev/null || true
