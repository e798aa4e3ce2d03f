# Makes the tree from what the node has already, and says what it lacks: `rsync` or `plain`, then a name a line.
# $1 staging directory $2 what the last install noted of its files; stdin: `SHA256 TAB NAME TAB DESTINATION`, the
# destination empty for what is not placed.
#
# A file that lies in its place as the package brings it gets a second name in the tree. Nothing writes to a file of the
# tree: what is sent goes to files with one name, and what is placed is a copy. Whose size, time and inode are those of the
# last install is not hashed; whoever places it hashes it. What the package changes is copied: the basis of its difference.
umask 077
dir=$1 noted=$2 tab=$(printf '\t')
mkdir -p "$dir/tree"
cat > "$dir/list"
cut -f 1,2 "$dir/list" > "$dir/all"
cut -f 2 "$dir/list" | sed -n "s|^\(.*\)/[^/]*$|$dir/tree/\1|p" | sort -u | tr '\n' '\0' | xargs -0 -r mkdir -p
# What came with an earlier try, perhaps in part.
prove "$dir" < "$dir/all"
unproved "$dir" < "$dir/all" > "$dir/lacking"
find "$dir/tree" -type f -links +1 -printf '%P\n' > "$dir/linked"
awk -F '\t' 'FILENAME == ARGV[1] { lacking[$2] = 1; next } $1 in lacking' "$dir/lacking" "$dir/linked" |
  while IFS= read -r name; do rm -f "$dir/tree/$name"; done

# SHA256 NAME DESTINATION of what is lacking and has a file in its place.
awk -F '\t' 'FILENAME == ARGV[1] { lacking[$2] = 1; next } $3 != "" && ($2 in lacking)' "$dir/lacking" "$dir/list" |
  while IFS=$tab read -r sha name destination; do
    if [ -f "$destination" ] && [ ! -L "$destination" ]; then printf '%s\t%s\t%s\n' "$sha" "$name" "$destination"; fi
  done > "$dir/placed"
cut -f 3 "$dir/placed" | tr '\n' '\0' | xargs -0 -r stat --printf '%s %.9Y %i\t%n\n' > "$dir/stats"
[ -f "$noted" ] || noted=/dev/null
# SHA256 TAB PATH of what is as it was installed; then of all others.
awk -F '\t' 'FILENAME == ARGV[1] { stat[$2] = $1; next } stat[$3] == $2 { print $1 "\t" $3 }' "$dir/stats" "$noted" > "$dir/known"
awk -F '\t' 'FILENAME == ARGV[1] { known[$2] = 1; next } !($3 in known) { print $3 }' "$dir/known" "$dir/placed" |
  tr '\n' '\0' | sums >> "$dir/known"
awk -F '\t' 'FILENAME == ARGV[1] { sum[$2] = $1; next } { print (sum[$3] == $1 ? "same" : "other") "\t" $1 "\t" $2 "\t" $3 }' \
  "$dir/known" "$dir/placed" > "$dir/plan"
: > "$dir/same"
copied=no
while IFS=$tab read -r how sha name destination; do
  target=$dir/tree/$name
  if [ "$how" = same ] && ln -f "$destination" "$target" 2> /dev/null; then
    printf '%s\t%s\n' "$sha" "$name" >> "$dir/same"
  elif [ "$how" = same ]; then
    # Another file system.
    cp --reflink=auto "$destination" "$target"
    copied=yes
  elif [ ! -e "$target" ]; then
    cp --reflink=auto "$destination" "$target"
  fi
done < "$dir/plan"
stats "$dir" | awk -F '\t' '
  FILENAME == ARGV[1] { sha[$2] = $1; next }
  $1 in sha { print sha[$1] "\t" $1 "\t" $2 }' "$dir/same" - >> "$dir/proved"
if [ $copied = yes ]; then prove "$dir" < "$dir/all"; fi
if command -v rsync > /dev/null 2>&1; then echo rsync; else echo plain; fi
unproved "$dir" < "$dir/all" | cut -f 2
rm -f "$dir/list" "$dir/all" "$dir/lacking" "$dir/linked" "$dir/placed" "$dir/stats" "$dir/known" "$dir/plan" "$dir/same"
