# Runs once inside a fresh base image, as root, without a network and without systemd.
# Whatever is the same on every node of every lab belongs here.
set -eu

useradd --create-home --shell /bin/bash ops
useradd --system --user-group --home-dir /opt/orders --shell /usr/sbin/nologin orders
install -d -o orders -g orders -m 0755 /opt/orders

# Each node has keys, a machine id and a database of its own.
rm -f /etc/ssh/ssh_host_* /var/lib/dbus/machine-id
: > /etc/machine-id
pg_dropcluster 15 main
# The nodes have no name server; an empty file makes every look-up fail at once instead of waiting.
: > /etc/resolv.conf

# Nothing here may cost boot time or wake up in the middle of a measurement.
systemctl mask --quiet \
    apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer \
    man-db.timer logrotate.timer systemd-tmpfiles-clean.timer \
    systemd-networkd.service systemd-networkd.socket systemd-networkd-wait-online.service systemd-resolved.service \
    systemd-timesyncd.service systemd-pstore.service systemd-update-utmp.service \
    systemd-hwdb-update.service systemd-udev-trigger.service systemd-udevd.service systemd-firstboot.service \
    getty.target console-getty.service getty@tty1.service remote-fs.target
systemctl set-default --quiet multi-user.target

install -d -m 0755 /etc/systemd/journald.conf.d /etc/ssh/sshd_config.d
printf '[Journal]\nStorage=persistent\nSystemMaxUse=32M\nSyncIntervalSec=10s\nRateLimitIntervalSec=0\n' \
    > /etc/systemd/journald.conf.d/lab.conf
install -d -m 2755 -g systemd-journal /var/log/journal
printf 'PasswordAuthentication no\nPermitRootLogin prohibit-password\nUseDNS no\nMaxStartups 100:30:200\n' \
    > /etc/ssh/sshd_config.d/lab.conf
printf 'ops ALL=(ALL) NOPASSWD: ALL\n' > /etc/sudoers.d/ops
chmod 0440 /etc/sudoers.d/ops
