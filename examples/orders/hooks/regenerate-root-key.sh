#!/bin/sh
# Replaces the root key with a new one, as the installer of the 2.0 line always has. Nothing keeps the old key: only a
# backup taken before can bring it back.
set -eu

key=${ORDERS_KEY_FILE:-/etc/orders/root.key}
owner=${ORDERS_KEY_OWNER:-root:orders}

umask 077
new=$(mktemp "$key.XXXXXX")
trap 'rm -f "$new"' EXIT

head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n' >"$new"
if [ "$(wc -c <"$new")" -ne 64 ]; then
    echo "expected 64 hex digits of new key, found $(wc -c <"$new")" >&2
    exit 1
fi
chown "$owner" "$new"
chmod 0640 "$new"
sync "$new"
# A rename: whoever reads sees the old key or the new one, never half of it.
mv -f "$new" "$key"
