# Fetches files from the other node; only what differs from what lies there travels. $1 staging directory $2 address $3 port;
# stdin: the password, then the names. Prints how many bytes came. Status 3: it cannot be had this way.
umask 077
dir=$1 host=$2 port=$3
case $host in *:*) host="[$host]" ;; esac
mkdir -p "$dir/tree"
IFS= read -r password
printf '%s\n' "$password" > "$dir/password"
trap 'rm -f "$dir/password" "$dir/names"' EXIT
cat > "$dir/names"
status=0
said=$(rsync --inplace --no-whole-file --ignore-times --perms --chmod=D0700,F0600 --contimeout=5 --timeout=60 --stats \
  --password-file="$dir/password" --files-from="$dir/names" "rsync://rollup@$host:$port/tree/" "$dir/tree/" 2>&1) || status=$?
if [ "$status" -ne 0 ]; then
  printf 'rsync ended with %s: %s\n' "$status" "$(printf '%s' "$said" | tail -n 2 | tr '\n' ' ')" >&2
  exit 3
fi
printf '%s\n' "$said" | sed -n 's/^Total bytes received: //p' | tr -cd '0-9'
