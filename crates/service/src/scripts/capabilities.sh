# Prints the paths that do not have the capabilities they should have. stdin: `PATH TAB CAPABILITIES`.
while IFS=$(printf '\t') read -r path capabilities; do
  setcap -q -v "$capabilities" "$path" > /dev/null 2>&1 || echo "$path"
done
