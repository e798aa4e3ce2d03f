# Everything that was written on this node, read back.
set -euo pipefail
cd /var/backups/rollup/by-hand
cat -- *.sums | sha256sum --quiet -c
zstd -q -t -- *.zst
