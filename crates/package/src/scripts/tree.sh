# What is known of the files of a staging directory. Stands before the other scripts; nothing here runs by itself.
#
# STAGING/tree has the files, each under its name in the package. STAGING/proved has a line for each file whose content was
# hashed: `SHA256 NAME STAT`. A file whose size, times and inode are still the same is not hashed again; whoever places it
# hashes it once more.

# Prints `NAME TAB STAT` for each regular file of the tree.
stats() { find "$1/tree" -type f -printf '%P\t%s %T@ %C@ %i\n' 2> /dev/null || true; }

# Reads `SHA256 TAB NAME` lines; prints those whose file is not proved to be there.
unproved() {
  {
    stats "$1" | sed 's/^/F\t/'
    sed 's/^/P\t/' "$1/proved" 2> /dev/null || true
    sed 's/^/W\t/'
  } | awk -F '\t' '
    $1 == "F" { stat[$2] = $3; next }
    $1 == "P" { if (($3 in stat) && stat[$3] == $4) sha[$3] = $2; next }
    sha[$3] != $2 { print $2 "\t" $3 }'
}

# Reads `SHA256 TAB NAME` lines and hashes those files that are there; what is as it should be is proved from now on.
prove() {
  cat > "$1/wanted"
  unproved "$1" < "$1/wanted" > "$1/open"
  stats "$1" > "$1/before"
  cut -f 2 "$1/open" | while IFS= read -r name; do
    if [ -f "$1/tree/$name" ] && [ ! -L "$1/tree/$name" ]; then printf '%s\0' "$1/tree/$name"; fi
  done | sums > "$1/hashed"
  # On disk before anybody believes in it.
  sync -f "$1"
  DIR=$1/tree/ awk -F '\t' '
    FILENAME ~ /\/before$/ { stat[$1] = $2; next }
    FILENAME ~ /\/hashed$/ { found[substr($2, length(ENVIRON["DIR"]) + 1)] = $1; next }
    found[$2] == $1 { print $1 "\t" $2 "\t" stat[$2] }' "$1/before" "$1/hashed" "$1/open" > "$1/more"
  { cat "$1/proved" 2> /dev/null || true; cat "$1/more"; } > "$1/proved.new"
  sync "$1/proved.new"
  mv -f "$1/proved.new" "$1/proved"
  sync "$1"
  rm -f "$1/wanted" "$1/open" "$1/before" "$1/hashed" "$1/more"
}
