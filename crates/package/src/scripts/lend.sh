# Writes files of the tree as a tar stream. $1 staging directory; stdin: their names.
tar --create --file=- --directory="$1/tree" --format=gnu --verbatim-files-from --no-recursion --files-from=-
