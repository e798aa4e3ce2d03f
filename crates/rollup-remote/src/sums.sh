# Prints `SHA256 TAB PATH` for each path read from stdin, NUL-ended. OpenSSL is several times faster where the processor
# can help; both write a hash, a blank, a star and the path.
sums() {
  if command -v openssl > /dev/null 2>&1; then
    xargs -0 -r -n 64 openssl dgst -sha256 -r
  else
    xargs -0 -r -n 64 sha256sum --binary
  fi | sed "s/^\([0-9a-f]\{64\}\) \*/\1$(printf '\t')/"
}
