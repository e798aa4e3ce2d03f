//! What the probe prints on a real node, shortened, with some trouble added.

pub(crate) const NODE: &str = "\
clock 1700000000.500000000
architecture x86_64
installer apt-get
version bash 5.2.15(1)-release
version systemd 252
version coreutils 9.1
fs rw /var/lib/rollup\t270553174016 61945450496 35694563328 16777216  16149682 /
fs ro /var/backups/rollup\t1048576 1000000 48576 - - /srv/with blank
fs rw /mnt/dead\tunknown
peer 10.78.0.12 5432 refuses
lock 20261120-091500-ab12
run 20261120-091500-ab12 open 3 upgrade
run 20261119-091500-cd34 over 9 upgrade
end
";
