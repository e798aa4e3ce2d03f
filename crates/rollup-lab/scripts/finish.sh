# Runs last inside every node's image. ENABLE and MASK are lists of units.
set -eu

for unit in $ENABLE; do systemctl enable --quiet "$unit"; done
for unit in $MASK; do systemctl mask --quiet "$unit"; done
rm -rf /var/tmp/provision
