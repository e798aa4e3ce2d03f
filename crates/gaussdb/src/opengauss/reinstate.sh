# $1 own address. Makes this server the primary again that it was. Only for a caller that has seen that no other server was
# promoted.
state=$(local_state)
case $state in
  Primary*) exit 0 ;;
  Standby*)
    [ "$(manager)" != running ] || refuse "the cluster manager itself promotes a server when there is no primary"
    lasting told gs_ctl failover -D "$data" >&2
    [ "$(local_role)" = Primary ] || exit 6 ;;
  '')
    if postmaster > /dev/null; then refuse "the server runs and does not say what it is"; fi
    start_as primary "$1" ;;
  *) refuse "this server runs as \`$(printf '%s' "$state" | tr '\t' ' ')\`: expected a primary, or a stopped server" ;;
esac
tool gs_om -t refreshconf > /dev/null 2>&1 || true
