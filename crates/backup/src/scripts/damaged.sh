# Prints `NAME WHY` for what this run's `backup.verify` found damaged here and nobody has mended since.
# $1 set directory $2 run
cd "$1" 2>/dev/null || exit 0
[ -f damaged ] || exit 0
while read -r run changed name why; do
  [ "$run" = "$2" ] || continue
  [ "$(stat -c %.9Z "$name" 2>/dev/null || echo -)" != "$changed" ] || printf '%s %s\n' "$name" "$why"
done < damaged
