# Catalogs of gs_probackup, each with one instance and one full backup.
instance=rollup

# The value of key $2 in what `show` says, $1. One backup is all there is, so that each key occurs once.
field() { printf '%s\n' "$1" | sed -n "s/^ *\"$2\": \"\{0,1\}\([^\",]*\)\"\{0,1\},\{0,1\}\$/\1/p" | head -n 1; }

shown() { tool gs_probackup show -B "$1" --instance "$instance" --format=json; }

# Runs gs_probackup as the owner and takes an end for success only with these words, $1.
insist_said() {
  local words=$1 said; shift
  said=$(told "${gently[@]}" gs_probackup "$@")
  case $said in
    'status 0'$'\n'*"$words"*) printf '%s\n' "$said" ;;
    *) printf 'gs_probackup %s: expected `%s`, found:\n' "$1" "$words" >&2; printf '%s\n' "$said" | tail -n 5 >&2; exit 4 ;;
  esac
}

# Unpacks the catalog of set directory $1 into directory $2, which belongs to the server's owner.
unpack_catalog() {
  insist_zstd
  set -o pipefail
  "${gently[@]}" zstd -q -d -c "$1/base.tar.zst" |
    as_owner "${gently[@]}" tar --extract --preserve-permissions --file=- --directory="$2" ||
    { echo "$1/base.tar.zst cannot be unpacked: it is damaged, or the disk is full" >&2; exit 4; }
}

# Fills directory $1, which is the owner's, with a catalog that holds one full backup, verified; sets start, end and timeline.
take_catalog() {
  local said id shown
  insist_said "successfully inited" init -B "$1" > /dev/null
  insist_said "successfully inited" add-instance -B "$1" -D "$data" --instance "$instance" > /dev/null
  said=$(insist_said " completed" backup -B "$1" --instance "$instance" -b FULL -d postgres -p "$port")
  id=$(printf '%s\n' "$said" | sed -n 's/^INFO: Backup \([A-Z0-9]*\) completed$/\1/p' | tail -n 1)
  [ -n "$id" ] || { echo "expected gs_probackup to name its backup, found:" >&2; printf '%s\n' "$said" >&2; exit 4; }
  echo "verifying every file"
  insist_said "INFO: Backup $id data files are valid" validate -B "$1" --instance "$instance" -i "$id" > /dev/null
  shown=$(shown "$1")
  [ "$(field "$shown" status)" = OK ] || refuse "gs_probackup shows its backup as \`$(field "$shown" status)\`: expected OK"
  start=$(field "$shown" start-lsn) end=$(field "$shown" stop-lsn) timeline=$(field "$shown" current-tli)
}

# Makes directory $2, empty and the owner's, a data directory from catalog $1. Every file is verified on the way.
restore_catalog() {
  local id
  id=$(field "$(shown "$1")" id)
  [ -n "$id" ] || { echo "the catalog holds no backup" >&2; exit 4; }
  echo "verifying every file"
  insist_said "INFO: Backup $id data files are valid" validate -B "$1" --instance "$instance" -i "$id" > /dev/null
  echo "restoring"
  insist_said "INFO: Restore of backup $id completed." restore -B "$1" --instance "$instance" -D "$2" -i "$id" > /dev/null
}
