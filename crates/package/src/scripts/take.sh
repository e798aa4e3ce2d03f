# Takes files out of an archive of this node. $1 staging directory $2 archive; stdin: their names. Whoever asked proves them.
umask 077
set -o pipefail
dir=$1 archive=$2
mkdir -p "$dir/tree"
cat > "$dir/names"
# Others write their names with a dot before them.
sed 's|^|./|' "$dir/names" > "$dir/dotted"
case $(head -c 2 -- "$archive" | od -An -v -tx1 | tr -d ' \n') in 1f8b) unpack=gzip ;; *) unpack=zstd ;; esac
if ! "$unpack" -dc < "$archive" |
  tar --extract --file=- --directory="$dir/tree" --no-same-owner --no-same-permissions --verbatim-files-from --no-wildcards \
    --no-recursion --files-from="$dir/names" --files-from="$dir/dotted" 2> "$dir/said"
then
  # One of the two spellings of each name is not there.
  if grep -v -e ': Not found in archive$' -e '^tar: Exiting with failure status' "$dir/said" >&2; then exit 1; fi
fi
rm -f "$dir/names" "$dir/dotted" "$dir/said"
