# $1 own address $2 seconds that the stop may take. Run as root.
halt "$1" "$2"
