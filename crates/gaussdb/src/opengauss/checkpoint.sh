sql <<'SQL'
set statement_timeout = 0;
checkpoint;
SQL
