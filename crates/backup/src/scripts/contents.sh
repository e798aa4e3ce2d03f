# A list `contents` has a line `TYPE MODE OWNER GROUP SIZE SHA256|- PATH` for each archived path; for a link the
# checksum is that of its target. Paths have no line breaks: such a one is refused when a set is taken.

# Prints the fields in `$1`, an awk expression over `$1 …` and `path`, for each line of stdin; `path` starts with `$2`.
fields() {
  AT=$2 awk '{ path = $0; for (i = 0; i < 6; i++) sub(/^[^ ]* /, "", path); path = ENVIRON["AT"] path } '"$1"
}

# Prints each path of the list `$1` that is not there as the list says. `$2` is put before each path: empty, or `.` when
# the archive is unpacked here.
differing() {
  local contents=$1 at=$2
  {
    # Kind, mode and owner.
    comm -23 \
      <(fields '{ print $1, $2, $3, $4, path }' "$at" < "$contents" | sort) \
      <(fields '{ print path }' "$at" < "$contents" | tr '\n' '\0' |
        xargs -0 -r sh -c 'exec find "$@" -maxdepth 0 -printf "%y %m %u %g %p\n"' find 2>/dev/null | sort) |
      cut -d ' ' -f 5-
    # What is in files; one that is gone is above already, too.
    { fields '$1 == "f" { print $6 "  " path }' "$at" < "$contents" | sha256sum --check 2>/dev/null || true; } |
      sed -n 's/: FAILED\( open or read\)\{0,1\}$//p'
    # Where links lead.
    fields '$1 == "l" { print $6, path }' "$at" < "$contents" | while IFS= read -r line; do
      found=$(readlink -n -- "${line#* }" 2>/dev/null | sha256sum | cut -c 1-64 || true)
      [ "$found" = "${line%% *}" ] || printf '%s\n' "${line#* }"
    done
  } | sort -u | cut -c "$((${#at} + 1))-"
}

# Unpacks the archive of the part `$1` into the empty directory `$2`, and proves that it is what was archived: the
# archive by its checksum while it is read, then every path by the list.
unpack_part() {
  local part=$1 into=$2 need have expected found wrong
  need=$(awk '{ n += $5 } END { printf "%.0f", n }' "$part/contents")
  have=$(free "$into")
  if [ "$have" -lt "$need" ]; then
    echo "not enough space in $into: expected $(size "$need") free, found $(size "$have")" >&2
    return 1
  fi
  expected=$(awk '$3 == "files.tar.zst" { print $1 }' "$part/sums")
  echo "unpacking about $(size "$need")"
  # The checksum gets what is read through descriptor 4, the archive through the pipe.
  found=$({ tee -p /dev/fd/4 < "$part/files.tar.zst" | zstd -q -d -c |
    tar --extract --file=- --directory="$into" --preserve-permissions --same-owner --acls --xattrs \
      --xattrs-include='user.*' --xattrs-include=security.capability >&2; } 4>&1 | sha256sum | cut -c 1-64)
  if [ "$found" != "$expected" ]; then
    echo "$part/files.tar.zst is damaged: its checksum is another" >&2
    return 1
  fi
  wrong=$(cd "$into" && differing "$part/contents" . | head -n 5)
  if [ -n "$wrong" ]; then
    echo "the archive has something else than its list says:" >&2
    printf '%s\n' "$wrong" >&2
    return 1
  fi
}
