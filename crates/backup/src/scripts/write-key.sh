# Puts the encrypted root key into SET/NODE; `key-sums` last. stdin: the ciphertext.
# $1 set directory $2 node $3 what `root-key.json` says $4 SHA-256 of the ciphertext
set=$1 part=$1/$2
umask 077
mkdir -p "$part"
chmod 711 "$(dirname "$set")" "$set"
cd "$part"
trap 'rm -f root-key.age.partial root-key.json.partial key-sums.partial' EXIT
cat > root-key.age.partial
if [ "$(sha256sum < root-key.age.partial | cut -c 1-64)" != "$4" ]; then
  echo "root-key.age did not arrive as it was sent" >&2
  exit 1
fi
printf '%s\n' "$3" > root-key.json.partial
for name in root-key.age root-key.json; do
  echo "$(sha256sum < $name.partial | cut -c 1-64) $(stat -c %s $name.partial) $name"
done > key-sums.partial
sync root-key.age.partial root-key.json.partial key-sums.partial
rm -f key-sums
mv -fT root-key.age.partial root-key.age
mv -fT root-key.json.partial root-key.json
sync .
mv -fT key-sums.partial key-sums
sync . "$set"
