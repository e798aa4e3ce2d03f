# Prints where the server writes now, or that it writes nothing.
sql <<'SQL'
select case when pg_is_in_recovery() then 'standby' else 'primary ' || pg_current_xlog_location() end;
SQL
