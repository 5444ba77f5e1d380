//! The kinds of namespaces: namespaces(7).

/// All that a kernel may have, by their names in /proc/PID/ns. Older ones lack the last.
pub const KINDS: [&str; 8] = ["uts", "pid", "mnt", "user", "net", "ipc", "cgroup", "time"];
