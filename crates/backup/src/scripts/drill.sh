# Unpacks the files of SET/NODE into a scratch directory and compares them with the list; leaves nothing. $1 set
# directory $2 node
scratch=$1/drill.partial
umask 077
rm -rf "$scratch"
mkdir "$scratch"
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' HUP INT TERM
unpack_part "$1/$2" "$scratch"
echo "every path is as it was kept"
