# Hashes what has come. $1 staging directory; stdin: `SHA256 TAB NAME`.
umask 077
prove "$1"
