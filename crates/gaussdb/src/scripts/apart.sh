# One statement of a migration that cannot be one transaction. Arguments as for migrate.sh, then: $10 number of the
# statement $11 how many there are $12 index that it builds, or nothing $13 the index's table. Standard input, with marks
# between: what asks how the statement stands, what ends the file, what forgets a try, and the statement.
lock=$2 number=${10} count=${11} index=${12} table=${13}
words=(-v rollup_owner="$1" -v rollup_lock="$2" -v rollup_statement="$3" -v rollup_version="$4" -v rollup_name="$5"
  -v rollup_checksum="$6" -v rollup_phase="$7" -v rollup_run="$8" -v rollup_by="${SUDO_USER:-root}"
  -v rollup_number="$number" -v rollup_index="$index" -v rollup_table="$table")
mark=$'\n-- rollup: next\n'
text=$(cat)
look=${text%%"$mark"*}; text=${text#*"$mark"}
close=${text%%"$mark"*}; text=${text#*"$mark"}
forget=${text%%"$mark"*}; run=${text#*"$mark"}

# `valid`, `invalid` or `none`, and the index's name as SQL.
index_state() {
  local answer
  answer=$(sql "${words[@]}" <<'SQL'
select set_config('role', :'rollup_owner', false);
select coalesce((select case when i.indisvalid then 'valid ' else 'invalid ' end || quote_ident(n.nspname) || '.'
  || quote_ident(c.relname) from pg_index i join pg_class c on c.oid = i.indexrelid
  join pg_namespace n on n.oid = c.relnamespace
  where i.indrelid = :'rollup_table'::regclass and c.relname = :'rollup_index'), 'none');
SQL
  )
  printf '%s\n' "${answer##*$'\n'}"
}

answer=$(printf '%s\n' "$look" | statements "$lock" "${words[@]}")
state=${answer##*$'\n'}
case $state in new | doubt | done) ;; *) refuse "expected how statement $number stands, found \`$state\`" ;; esac

if [ "$state" != done ]; then
  # What an earlier try left behind may still be at work.
  end=$((SECONDS + $3 / 1000))
  while [ "$(sql <<< "select count(*) from pg_stat_activity where application_name = 'rollup-alone' and state <> 'idle'")" != 0 ]
  do
    [ "$SECONDS" -lt "$end" ] || refuse "statement $number still runs, from an earlier try"
    sleep 1
  done
  found=none
  [ -z "$index" ] || found=$(index_state)
  case $state:$found in
    # It broke off, or a try of ours did.
    doubt:invalid*) sql <<< "drop index concurrently ${found#invalid }" ;;
    new:invalid*)
      printf '%s\n' "$forget" | sql "${words[@]}"
      refuse "the index ${found#invalid } is there and invalid: somebody broke off building it; drop index concurrently ${found#invalid }" ;;
  esac
  case $state:$found in
    doubt:valid*) run="update rollup_history.statements set finished = clock_timestamp() where version = :'rollup_version'
      and phase = :'rollup_phase' and number = :'rollup_number'::int;" ;;
  esac
  status=0
  printf '%s\n' "$run" | statements "$lock" "${words[@]}" > /dev/null || status=$?
  if [ "$status" -ne 0 ]; then
    # The server has refused it, so there is nothing to be in doubt of; but for an index that it left half built.
    if [ "$status" = 3 ]; then
      [ -z "$index" ] || found=$(index_state)
      case $found in invalid*) ;; *) printf '%s\n' "$forget" | sql "${words[@]}" ;; esac
    fi
    exit "$status"
  fi
fi
[ "$number" -lt "$count" ] || printf '%s\n' "$close" | sql "${words[@]}"
