# One node's power supply. It restarts the machine when the machine asks for a reboot, as firmware would.
# Arguments: namespace, address with prefix, log file, cgroups joined by ":", then the argv of the machine.
namespace=$1 address=$2 log=$3 cgroups=$4
shift 4
exec < /dev/null >> "$log" 2>&1

# A cgroup of its own before the machine starts: two machines in one cgroup would see each other's units.
for directory in $(echo "$cgroups" | tr : ' '); do
    mkdir -p "$directory" && echo $$ > "$directory/cgroup.procs"
done
while :; do
    # A namespace outlives its machine: without this a VIP would survive a power cut.
    ip -n "$namespace" address flush dev eth0
    ip -n "$namespace" address add "$address" dev eth0
    ip -n "$namespace" link set eth0 up
    "$@"
    status=$?
    ip -n "$namespace" link set eth0 down
    # 133 is how nspawn says "the machine wants to boot again" when it was told to keep the unit.
    [ "$status" = 133 ] || exit "$status"
done
