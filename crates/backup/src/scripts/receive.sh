# Takes one file of a set. stdin: its content.
# $1 set directory $2 its name $3 its size $4 its SHA-256. Ends with 9 when something else arrived.
set -o pipefail
set=$1 name=$2 file=$1/$2
umask 077
mkdir -p "$(dirname "$file")"
chmod 711 "$(dirname "$set")" "$set"
trap 'rm -f "$file.partial"' EXIT
found=$(tee --output-error=exit "$file.partial" | sha256sum | cut -c 1-64)
bytes=$(stat -c %s "$file.partial")
if [ "$bytes" != "$3" ] || [ "$found" != "$4" ]; then
  echo "$name arrived damaged: expected $3 bytes with checksum $4, found $bytes with $found" >&2
  exit 9
fi
sync "$file.partial"
mv -fT "$file.partial" "$file"
sync "$(dirname "$file")" "$set"
