# $1 role that owned what was made, or `none` $2 lock timeout $3 statement timeout, both in ms $4 version $5 phase
# $6 run that applied it $7 name of the down file. Standard input: one transaction, its COMMIT last, so an input that is
# cut off changes nothing.
status=0
said=$(statements "$2" -v rollup_owner="$1" -v rollup_lock="$2" -v rollup_statement="$3" -v rollup_version="$4" \
  -v rollup_phase="$5" -v rollup_run="$6" 2>&1 >/dev/null) || status=$?
[ "$status" -ne 0 ] || exit 0
# A first try whose answer was lost has done it meanwhile.
case $said in *'rollup: already taken back'*) exit 0 ;; esac
printf '%s\n' "$said" >&2
exit "$status"
