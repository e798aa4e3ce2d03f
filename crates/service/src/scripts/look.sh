# Prints `SHA256 MODE OWNER GROUP PATH` for each path, a line each on stdin; `absent - - - PATH` where no file is. A link is
# `link TARGET - - PATH`: it is never followed.
tab=$(printf '\t')
mapfile -t paths
declare -A sum stat
files() {
  for path in "${paths[@]}"; do
    if [ -f "$path" ] && [ ! -L "$path" ]; then printf '%s\0' "$path"; fi
  done
}
while IFS=$tab read -r hash path; do sum["$path"]=$hash; done < <(files | sums)
while IFS=$tab read -r said path; do stat["$path"]=$said; done < <(files | xargs -0 -r stat --printf '%a %U %G\t%n\n')
for path in "${paths[@]}"; do
  if [ -L "$path" ]; then
    echo "link $(readlink "$path" | tr ' \t' '??') - - $path"
  elif [ -n "${sum["$path"]:-}" ] && [ -n "${stat["$path"]:-}" ]; then
    echo "${sum["$path"]} ${stat["$path"]} $path"
  elif [ -e "$path" ]; then
    echo "other - - - $path"
  else
    echo "absent - - - $path"
  fi
done
