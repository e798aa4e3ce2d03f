# Has commits wait for a standby again, as they did before. Run as root.
[ -e "$relaxed" ] || exit 0
before=$(cat "$relaxed")
case $before in
  reset) sql > /dev/null <<< "alter system reset synchronous_standby_names; select pg_reload_conf();" ;;
  'set '*)
    # A quote is doubled in that file as it is here.
    sql > /dev/null <<< "alter system set synchronous_standby_names = '${before#set }'; select pg_reload_conf();" ;;
  *) refuse "$relaxed holds \`$before\`: expected \`reset\`, or \`set\` and what is to be set" ;;
esac
forget_before
