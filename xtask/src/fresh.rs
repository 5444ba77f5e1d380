//! Has a program been built from its present source? Cargo knows, but takes longer to say so than a container takes to run.
//! So after cargo has built it, we keep a fingerprint of all that its answer depends on, and ask it only when that differs.
//! A fingerprint that differs for no good reason costs a question; so whatever may matter is in it.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::workspace;

/// A built program, and what cargo left beside it.
#[derive(Debug)]
pub struct Program {
    path: PathBuf,
    /// Where cargo looks for its configuration, and in the folders above.
    root: PathBuf,
    /// Those that built it. When the compiler or its flags change, cargo has already built this very program anew.
    builders: Vec<PathBuf>,
}

/// When a build began, to tell what was changed during it.
#[derive(Debug)]
pub struct Start(SystemTime);

impl Program {
    /// The program at this path of the target folder.
    pub fn new(path: PathBuf) -> Program {
        let builders = env::current_exe().into_iter().chain([workspace::cargo().into()]).collect();
        Program { path, root: workspace::root().to_owned(), builders }
    }

    /// Would cargo find nothing to do?
    pub fn is_fresh(&self) -> bool {
        let kept = fs::read_to_string(self.file("fresh"));
        kept.is_ok_and(|kept| self.fingerprint(environment(), None).is_some_and(|now| kept == now))
    }

    /// To be called before cargo.
    pub fn start(&self) -> Option<Start> {
        // The time is that of a file, for a file is what it will be compared with.
        let marker = self.file("start");
        fs::write(&marker, "").ok()?;
        Some(Start(fs::metadata(&marker).ok()?.modified().ok()?))
    }

    /// To be called when cargo has built it. If we can't tell, cargo will be asked again.
    pub fn keep(&self, start: Option<Start>) {
        let fingerprint = start.and_then(|start| self.fingerprint(environment(), Some(start.0)));
        let _ = match fingerprint {
            Some(fingerprint) => fs::write(self.file("fresh"), fingerprint),
            None => fs::remove_file(self.file("fresh")),
        };
    }

    fn file(&self, extension: &str) -> PathBuf {
        self.path.with_extension(extension)
    }

    /// A number for the state of everything; `None` when something is missing, or was changed after `start`.
    fn fingerprint(&self, environment: u64, start: Option<SystemTime>) -> Option<String> {
        let sources = sources(&fs::read_to_string(self.file("d")).ok()?)?;
        let mut hasher = DefaultHasher::new();
        environment.hash(&mut hasher);
        for file in self.builders.iter().chain([&self.path]) {
            state(file)?.hash(&mut hasher);
        }
        let mut inputs = sources.clone();
        for source in sources {
            // Of this package, and of a path dependency. A new build.rs needs no line in the manifest.
            let above = source.ancestors().skip(1).map(Path::to_owned).collect::<Vec<_>>();
            inputs
                .extend(above.iter().flat_map(|it| ["Cargo.toml", "Cargo.lock", "build.rs"].map(|name| it.join(name))));
        }
        let home = env::var_os("HOME").map(|home| Path::new(&home).join(".cargo"));
        let cargo_home = env::var_os("CARGO_HOME").map(PathBuf::from).or(home);
        let configured = self.root.ancestors().map(|it| it.join(".cargo")).chain(cargo_home);
        inputs.extend(configured.flat_map(|it| ["config.toml", "config"].map(|name| it.join(name))));
        inputs.extend(
            self.root.ancestors().flat_map(|it| ["rust-toolchain.toml", "rust-toolchain"].map(|name| it.join(name))),
        );
        inputs.sort();
        inputs.dedup();
        for input in inputs {
            let state = state(&input);
            if let (Some(start), Some(state)) = (start, state)
                && state.0 >= start
            {
                return None;
            }
            // One that is not there may appear.
            (input, state).hash(&mut hasher);
        }
        Some(format!("{:016x}", hasher.finish()))
    }
}

/// Every variable but those that a shell changes by itself: a source may ask for any, with `env!`.
fn environment() -> u64 {
    let mut all: Vec<_> = env::vars_os().collect();
    all.retain(|(name, _)| !["PWD", "OLDPWD", "SHLVL", "_"].map(OsStr::new).contains(&name.as_os_str()));
    all.sort();
    let mut hasher = DefaultHasher::new();
    all.hash(&mut hasher);
    hasher.finish()
}

/// What changes when a file does: its time, its size and which file it is.
pub(crate) fn state(file: &Path) -> Option<(SystemTime, u64, u64)> {
    let metadata = fs::metadata(file).ok()?;
    Some((metadata.modified().ok()?, metadata.len(), metadata.ino()))
}

/// The files that cargo lists for a program, as make wants it: `PROGRAM: FILE FILE`, with a backslash before a blank. They
/// are all that was compiled, but for what comes from a registry and never changes.
fn sources(dep_info: &str) -> Option<Vec<PathBuf>> {
    let (_, list) = dep_info.lines().next()?.split_once(": ")?;
    let names = list.replace("\\ ", "\0");
    let sources: Vec<PathBuf> = names.split_whitespace().map(|name| name.replace('\0', " ").into()).collect();
    (!sources.is_empty() && sources.iter().all(|it| it.is_absolute())).then_some(sources)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_sources_is_read_as_cargo_writes_it() {
        let list = "/t/debug/step: /w/my\\ step/src/main.rs /w/other.rs\n";
        assert_eq!(sources(list), Some(vec!["/w/my step/src/main.rs".into(), "/w/other.rs".into()]));
        assert_eq!(sources(""), None);
        assert_eq!(sources("/t/debug/step: \n"), None);
        assert_eq!(sources("/t/debug/step: src/main.rs\n"), None);
    }

    /// A folder with a built program in it, which vanishes.
    struct Place(PathBuf);

    impl Place {
        fn new(name: &str) -> (Place, Program) {
            let root = env::temp_dir().join(format!("mini-docker-fresh-{name}-{}", std::process::id()));
            for folder in ["src", "target", ".cargo"] {
                fs::create_dir_all(root.join(folder)).unwrap();
            }
            for file in
                ["src/main.rs", "Cargo.toml", "Cargo.lock", ".cargo/config.toml", "target/step", "xtask", "cargo"]
            {
                fs::write(root.join(file), "1").unwrap();
            }
            let (program, source) = (root.join("target/step"), root.join("src/main.rs"));
            fs::write(root.join("target/step.d"), format!("{}: {}\n", program.display(), source.display())).unwrap();
            // As if made long ago: a file system's clock is coarse.
            for file in ["src/main.rs", "Cargo.toml", "Cargo.lock", ".cargo/config.toml"] {
                let file = fs::File::open(root.join(file)).unwrap();
                file.set_modified(SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000)).unwrap();
            }
            let builders = vec![root.join("xtask"), root.join("cargo")];
            (Place(root.clone()), Program { path: program, root, builders })
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn whatever_changes_cargo_is_asked() {
        let (place, program) = Place::new("changes");
        assert!(!program.is_fresh(), "never built");
        let keep = || {
            program.keep(program.start());
            assert!(program.is_fresh());
        };
        // A file that changes, appears, or goes; of the same size, or with its old time.
        for name in [
            "src/main.rs",
            "Cargo.toml",
            "Cargo.lock",
            "src/Cargo.toml",
            "build.rs",
            ".cargo/config.toml",
            ".cargo/config",
            "rust-toolchain.toml",
            "target/step",
            "target/step.d",
            "xtask",
            "cargo",
        ] {
            let file = place.0.join(name);
            let was = fs::read(&file).ok();
            keep();
            let text = if name.ends_with(".d") { "/step: /dev/null\n" } else { "2" };
            fs::write(&file, text).unwrap();
            assert!(!program.is_fresh(), "{name}");
            match was {
                Some(was) => fs::write(&file, was).unwrap(),
                None => fs::remove_file(&file).unwrap(),
            }
            if let Ok(file) = fs::File::open(&file) {
                file.set_modified(SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(2_000_000)).unwrap();
            }
        }
        keep();
        fs::remove_file(place.0.join("src/main.rs")).unwrap();
        assert!(!program.is_fresh());
    }

    #[test]
    fn what_is_changed_during_a_build_is_not_taken_for_built() {
        let (place, program) = Place::new("during");
        let start = program.start();
        fs::write(place.0.join("src/main.rs"), "2").unwrap();
        program.keep(start);
        assert!(!program.is_fresh());
        // Nor is what was kept before believed any longer.
        fs::write(place.0.join("src/main.rs"), "1").unwrap();
        assert!(!program.is_fresh());
    }

    #[test]
    fn another_environment_is_another_build() {
        let (_place, program) = Place::new("environment");
        assert_ne!(program.fingerprint(1, None), program.fingerprint(2, None));
        assert_eq!(program.fingerprint(1, None), program.fingerprint(1, None));
    }
}
