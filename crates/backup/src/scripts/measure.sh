# Measures what the next set needs. $1 backup directory $2 data directory of the database or empty $3 root key or empty,
# then the paths to keep.
dir=$1 data=$2 key=$3; shift 3
at=$dir; while [ ! -d "$at" ]; do at=$(dirname "$at"); done
echo "free $(df -B1 --output=avail "$at" | tail -n 1 | tr -d ' ')"
if [ -w "$at" ]; then echo "writable yes"; else echo "writable no"; fi
there=()
for path in "$@"; do if [ -e "$path" ]; then there+=("$path"); fi; done
if [ ${#there[@]} -gt 0 ]; then
  echo "files $(du -sbcD -- "${there[@]}" 2>/dev/null | tail -n 1 | cut -f 1)"
else
  echo "files 0"
fi
if [ -n "$data" ]; then
  echo "database $(du -sbL -- "$data" 2>/dev/null | cut -f 1 | grep . || echo missing)"
else
  echo "database 0"
fi
if [ -z "$key" ]; then echo "key none"
elif [ -L "$key" ]; then echo "key link"
elif [ -f "$key" ]; then echo "key file"
else echo "key absent"; fi
for tool in tar zstd awk find xargs base64 comm sha256sum; do
  command -v "$tool" >/dev/null 2>&1 || echo "lacks $tool"
done
