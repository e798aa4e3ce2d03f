# The outline of an archive: every header of its tar stream, the content of what is read as text, a hash of all else, so
# that whoever reads it decides by the archive's own bytes. $1 archive $2 `gzip` or `zstd` $3 `package`, or `plain` when
# there are no texts. In one pass, so what is hashed at the end is what was read:
#   k HEADER     a header of 512 bytes, hex; then its content as it is
#   h HEADER     a header, then a line with the SHA-256 of its content
#   x HEADER     a header that no package has, or a size that none has: nothing follows
#   z ALL OTHER  the end mark: how many bytes follow with it, and how many of them are not zero
#   t BYTES      the stream ended here, within a header when BYTES is not 0
#   d WORDS      what unpacks the archive has failed
#   s SHA256     hash of the archive as it was read, last
set -o pipefail
archive=$1 kind=$2 shape=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unpack() { "$kind" -dc 2> "$work/why" || echo "$?" > "$work/failed"; }

outline() {
  local header size digits type name rest at
  while :; do
    header=$(dd bs=512 count=1 iflag=fullblock status=none | od -An -v -tx1 -w512)
    header=${header// /}
    if [ "${#header}" -ne 1024 ]; then printf 't %s\n' $((${#header} / 2)); return; fi
    if [ -z "${header//0/}" ]; then
      tee >(wc -c > "$work/all") | tr -d '\0' | wc -c > "$work/other"
      while [ ! -s "$work/all" ]; do sleep 0.01; done
      printf 'z %s %s\n' $(($(cat "$work/all") + 512)) "$(cat "$work/other")"
      : > "$work/whole"
      return
    fi
    # Octal digits, ended by a blank or NUL; anything else is a size that no package has.
    digits=${header:248:24} size=
    for ((at = 0; at < 24; at += 2)); do
      case ${digits:at:2} in
        3[0-7]) size=$size${digits:at+1:1} ;;
        00 | 20) [ -z "$size" ] || break ;;
        *) size=x; break ;;
      esac
    done
    type=${header:312:2}
    case $size:$type in x:* | *:[!03]? | *:0[!0] | *:3[!05]) printf 'x %s\n' "$header"; return ;; esac
    size=$((8#${size:-0}))
    if [ "$size" -gt 4294967296 ]; then printf 'x %s\n' "$header"; return; fi
    name=${header:0:200}
    if [ "${header:514:12}" = 757374617200 ] && [ "${header:690:2}" != 00 ]; then name=${header:690:310}; fi
    # `payload/` and `hooks/` are no texts.
    case $shape:$name in
      plain:* | *:7061796c6f61642f* | *:686f6f6b732f*) [ "$size" -eq 0 ] && at=k || at=h ;;
      *) at=k ;;
    esac
    printf '%s %s\n' "$at" "$header"
    if [ "$at" = k ]; then
      # A text is small; a larger one is refused by its header.
      if [ "$size" -gt 33554432 ]; then return; fi
      head -c "$size"
    else
      name=$(head -c "$size" | sha256sum)
      printf '%s\n' "${name%% *}"
    fi
    rest=$(((512 - size % 512) % 512))
    [ "$rest" -eq 0 ] || head -c "$rest" > /dev/null
  done
}

# Whoever is too late has nobody who waits for it.
hashed() { local sum; sum=$(sha256sum); echo "${sum%% *}" 2> /dev/null > "$work/sum" || true; }
tee >(hashed) < "$archive" | unpack | outline || true
if [ -e "$work/failed" ]; then printf 'd %s\n' "$(tr '\n' ' ' < "$work/why")"; exit 0; fi
[ -e "$work/whole" ] || exit 0
while [ ! -s "$work/sum" ]; do sleep 0.01; done
printf 's %s\n' "$(cat "$work/sum")"
