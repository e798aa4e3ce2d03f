# Says how the role can go to the other node; changes nothing but a checkpoint, since the tools change both roles at once:
#   switch LSN    this server is the primary and sends to a standby; it wrote up to there
#   standby LSN   this server already runs as a standby and has replayed all it has
#   shutdown LSN  this server is stopped cleanly; its shutdown checkpoint starts there
# Status 3: it cannot.
state=$(local_state)
case $state in
  Primary*)
    said=$(tool gs_ctl query -D "$data" 2>/dev/null || true)
    case $said in *'peer_role'*': Standby'*'state'*': Streaming'*) ;; *) refuse "no standby is streaming from this server" ;; esac
    sql <<< 'checkpoint;' > /dev/null 2>&1 || true
    printf 'switch %s\n' "$(sql <<< 'select pg_current_xlog_location();')" ;;
  Standby*)
    printf 'standby %s\n' "$(sql <<< "select coalesce(lsn, '0/0') from pg_last_xlog_replay_location();")" ;;
  '')
    if postmaster > /dev/null; then refuse "the server runs and does not say what it is"; fi
    [ "$(cluster_state)" = 'shut down' ] || refuse "the server is down without a clean shutdown: \`$(cluster_state)\`"
    printf 'shutdown %s\n' "$(control | sed -n 's/^Latest checkpoint location: *//p')" ;;
  *) refuse "the server runs as \`$(printf '%s' "$state" | tr '\t' ' ')\`: expected a primary or a standby" ;;
esac
