# A transaction that writes for certain, and is rolled back: nobody sees it, and nothing of it stays.
if postmaster >/dev/null; then
  if [ "$(sql <<< "select pg_is_in_recovery();" 2>/dev/null)" = t ]; then echo 'write standby'
  elif said=$(sql 2>&1 <<'SQL'
set statement_timeout = 5000;
set lockwait_timeout = '2s';
begin;
create temporary table rollup_write on commit drop as select 1 as one;
insert into rollup_write values (2);
rollback;
select 'works';
SQL
  ); then printf 'write %s\n' "$said"
  else printf 'write fails %s\n' "$(printf '%s' "$said" | tr '\n' ' ')"; fi
else
  echo 'write stopped'
fi
