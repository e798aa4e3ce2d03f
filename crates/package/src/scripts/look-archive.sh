# What is known of an archive before anybody looks into it. $1 archive $2 `hash`, or `plain` when nobody asks for hashes.
# Prints `absent`, or `size BYTES`, `first HEX` (its first four bytes), `lacks PROGRAM`, `blake2b HEX`, `sha256 HEX`, and
# `signature` with the text of the file beside it, last.
if [ ! -e "$1" ]; then echo absent; exit 0; fi
if [ ! -f "$1" ]; then echo 'not a file'; exit 0; fi
printf 'size %s\n' "$(stat -Lc %s -- "$1")"
first=$(head -c 4 -- "$1" | od -An -v -tx1 | tr -d ' \n')
printf 'first %s\n' "$first"
needs='tar b2sum'
case $first in 1f8b*) needs="$needs gzip" ;; 28b52ffd) needs="$needs zstd" ;; esac
for program in $needs; do command -v "$program" > /dev/null 2>&1 || printf 'lacks %s\n' "$program"; done
if [ "$2" = hash ]; then
  printf 'blake2b %s\n' "$(b2sum < "$1" | cut -d ' ' -f 1)"
  printf 'sha256 %s\n' "$(sha256sum < "$1" | cut -d ' ' -f 1)"
fi
if [ -f "$1.minisig" ]; then echo signature; head -c 65536 -- "$1.minisig"; fi
