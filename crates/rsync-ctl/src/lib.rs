//! rsync-ctl
