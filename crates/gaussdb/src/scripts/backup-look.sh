# $1 backup directory $2 name of the set. Prints what the finished backup says of itself; nothing when there is none.
! is_whole "$1/$2/database" || cat "$1/$2/database/record.json"
