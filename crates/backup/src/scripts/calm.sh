# Serving comes first: what follows waits for idle processors and idle disks.
set -o pipefail
renice -n 10 -p $$ >/dev/null 2>&1 || true
if command -v ionice >/dev/null 2>&1; then ionice -c 3 -p $$ 2>/dev/null || true; fi

# Prints a number of bytes as people say it.
size() {
  awk -v n="$1" 'BEGIN {
    if (n < 1073741824) printf "%d MiB", (n + 1048575) / 1048576; else printf "%.1f GiB", n / 1073741824
  }'
}

# Prints the bytes that are free where `$1` lies.
free() { df -B1 --output=avail "$1" | tail -n 1 | tr -d ' '; }
