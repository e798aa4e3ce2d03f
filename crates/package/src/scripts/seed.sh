# Makes the tree from what the node has already, and says what it lacks: `rsync` or `plain`, then a name a line.
# $1 staging directory; stdin: `SHA256 TAB NAME TAB DESTINATION`, the destination empty for what is not placed.
#
# What is in the package's places now is copied: most of it is what the package brings, the rest is what the package
# changes, and the basis of its difference. A copy, since somebody may still write to the file in its place.
umask 077
dir=$1 tab=$(printf '\t')
mkdir -p "$dir/tree"
cat > "$dir/list"
cut -f 1,2 "$dir/list" > "$dir/all"
cut -f 2 "$dir/list" | sed -n "s|^\(.*\)/[^/]*$|$dir/tree/\1|p" | sort -u | tr '\n' '\0' | xargs -0 -r mkdir -p
unproved "$dir" < "$dir/all" > "$dir/lacking"
# Names of the first file, with where they go by the second.
awk -F '\t' 'NR == FNR { lacking[$2] = 1; next } $3 != "" && ($2 in lacking)' "$dir/lacking" "$dir/list" |
  while IFS=$tab read -r _ name destination; do
    # What is there already came with an earlier try, perhaps a part of it.
    if [ ! -e "$dir/tree/$name" ] && [ -f "$destination" ] && [ ! -L "$destination" ]; then
      cp --reflink=auto "$destination" "$dir/tree/$name"
    fi
  done
prove "$dir" < "$dir/all"
if command -v rsync > /dev/null 2>&1; then echo rsync; else echo plain; fi
unproved "$dir" < "$dir/all" | cut -f 2
rm -f "$dir/list" "$dir/all" "$dir/lacking"
