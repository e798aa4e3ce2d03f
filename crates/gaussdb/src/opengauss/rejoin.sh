# $1 own address. Makes this server follow the primary that its settings name.
# Right after a change of roles a server may be between its two lives.
for ((look = 0, gone = 0; look < 60 && gone < 8; look++)); do
  state=$(local_state)
  case $state in Standby* | Primary*) break ;; esac
  postmaster > /dev/null || gone=$((gone + 1))
  sleep 0.25
done
case $state in
  Standby*) exit 0 ;;
  '') if postmaster > /dev/null; then refuse "the server runs and does not say what it is"; fi ;;
  Primary*) refuse "this server is a primary; it is not made a standby by force" ;;
  *) refuse "this server runs as \`$(printf '%s' "$state" | tr '\t' ' ')\`: expected a standby, or a stopped server" ;;
esac
start_as standby "$1"
# Tools of the cluster read who is what from a file of their own.
tool gs_om -t refreshconf > /dev/null 2>&1 || true
