# Hashes what has come. $1 staging directory; stdin: `SHA256 TAB NAME` and perhaps more.
umask 077
prove "$1"
