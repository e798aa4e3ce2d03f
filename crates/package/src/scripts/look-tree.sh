# Prints the names of the files that are not proved to be there. $1 staging directory; stdin: `SHA256 TAB NAME` and perhaps more.
unproved "$1" | cut -f 2
