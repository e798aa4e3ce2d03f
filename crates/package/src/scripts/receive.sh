# Takes files as a tar stream. $1 staging directory.
umask 077
mkdir -p "$1/tree"
tar --extract --file=- --directory="$1/tree" --no-same-owner --no-same-permissions
