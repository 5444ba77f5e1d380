//! The kinds of namespaces: namespaces(7).

/// Every kind, by its name in /proc/PID/ns. Older kernels lack the last ones.
pub const KINDS: [&str; 8] = ["uts", "pid", "mnt", "user", "net", "ipc", "cgroup", "time"];
