# $1 role that owns what is made, or `none` $2 lock timeout $3 statement timeout, both in ms $4 version $5 file name
# $6 checksum $7 phase $8 run $9 `applied` or `baseline`. Standard input: one transaction, its COMMIT last, so an input
# that is cut off changes nothing.
statements "$2" -v rollup_owner="$1" -v rollup_lock="$2" -v rollup_statement="$3" \
  -v rollup_version="$4" -v rollup_name="$5" -v rollup_checksum="$6" -v rollup_phase="$7" -v rollup_run="$8" \
  -v rollup_kind="$9" -v rollup_by="${SUDO_USER:-root}" > /dev/null
