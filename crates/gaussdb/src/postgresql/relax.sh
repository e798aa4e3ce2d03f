# Lets commits go on without a standby. Run as root.
# What ALTER SYSTEM has set stands in this file, and wins over all others.
own=$(sed -n "s/^ *synchronous_standby_names *= *'\(.*\)' *\$/\1/p" "$data/postgresql.auto.conf" | tail -n 1)
if grep -q '^ *synchronous_standby_names *=' "$data/postgresql.auto.conf"; then keep_before "set $own"; else keep_before reset; fi
sql > /dev/null <<< "alter system set synchronous_standby_names = ''; select pg_reload_conf();"
