# Compares parts with what the manifest says of them. Prints `whole NAME`, `missing NAME` or `damaged NAME WHY`.
# $1 set directory, then NAME SIZE SHA256 for each part; with `-` for a checksum the size alone is compared.
set=$1; shift
while [ $# -gt 0 ]; do
  name=$1 size=$2 sha=$3 file=$set/$1; shift 3
  if [ ! -f "$file" ]; then echo "missing $name"; continue; fi
  found=$(stat -c %s "$file")
  if [ "$found" != "$size" ]; then echo "damaged $name its size is $found, expected $size"; continue; fi
  if [ "$sha" != - ]; then
    found=$(sha256sum < "$file" | cut -c 1-64) || found=unreadable
    if [ "$found" != "$sha" ]; then echo "damaged $name its checksum is another"; continue; fi
  fi
  echo "whole $name"
done
