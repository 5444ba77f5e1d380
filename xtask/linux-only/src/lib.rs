//! What a step depends on where it can't run: cargo builds this first, so its error comes alone, and not with a page of
//! others about system calls that are not there.

#[cfg(not(target_os = "linux"))]
compile_error!(
    "Linux only: containers are made of Linux's namespaces. Use a Linux virtual machine (on macOS: Lima, Colima or \
     OrbStack; on Windows: WSL2) or a GitHub Codespace; `cargo xtask doctor` says more."
);
