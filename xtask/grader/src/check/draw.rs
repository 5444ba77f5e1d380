//! Random words, names, statuses and times. Each run gets new ones, so that a program can't recognise a check.

use std::cell::RefCell;

use fastrand::Rng;
use nix::sys::signal::Signal;

/// A source of random values. The same seed gives the same values.
#[derive(Debug)]
pub struct Draw(RefCell<Rng>);

/// Variables that a host's environment often has. A program must not rely on any of them.
const VARIABLES: &str =
    "HOME LANG USER LOGNAME SHELL PS1 EDITOR SSH_AUTH_SOCK CARGO_HOME PAGER XDG_RUNTIME_DIR LC_TIME";

/// Arguments that arrive only if each is passed on unchanged. `@` stands for random letters.
const ARGUMENTS: [&str; 18] = [
    "", "@  @", "@\t@", "@\n@", "@\n", "@\n\n", "$@", "`@`", "*", "'@", "\"@\"", "\\@", "@\\", "-@", "--", "%s@", "é@",
    "@=@",
];

impl Draw {
    pub fn new(seed: u64) -> Draw {
        Draw(RefCell::new(Rng::with_seed(seed)))
    }

    /// Returns a number from `least` up to and including `most`.
    pub fn number(&self, least: u32, most: u32) -> u32 {
        self.0.borrow_mut().u32(least..=most)
    }

    pub fn chance(&self) -> bool {
        self.0.borrow_mut().bool()
    }

    pub fn pick<T: Copy>(&self, all: &[T]) -> T {
        all[self.0.borrow_mut().usize(..all.len())]
    }

    pub fn shuffle<T>(&self, items: &mut [T]) {
        self.0.borrow_mut().shuffle(items);
    }

    /// Returns a word of five to nine lower-case letters.
    pub fn word(&self) -> String {
        let mut rng = self.0.borrow_mut();
        (0..rng.usize(5..=9)).map(|_| rng.lowercase()).collect()
    }

    /// Returns an exit status that isn't 0, 126, 127 or above, which shells use themselves.
    pub fn status(&self) -> u8 {
        self.number(1, 125) as u8
    }

    /// Returns a time in seconds for sleep(1) that outlasts every check.
    pub fn long_time(&self) -> String {
        self.number(1000, 99_999).to_string()
    }

    /// Returns twelve to twenty-four arguments, some of them odd.
    pub fn arguments(&self) -> Vec<String> {
        let mut arguments: Vec<String> = ARGUMENTS.iter().map(|it| self.fill(it)).collect();
        self.shuffle(&mut arguments);
        arguments.truncate(self.number(11, 15) as usize);
        // An argument at the end is the first to be lost.
        arguments.push(self.fill(self.pick(&ARGUMENTS[..6])));
        arguments
    }

    fn fill(&self, template: &str) -> String {
        template.split('@').map(str::to_owned).reduce(|all, next| all + &self.word() + &next).unwrap_or_default()
    }

    /// Returns variables with unique values.
    pub fn variables(&self) -> Vec<(String, String)> {
        let mut known: Vec<&str> = VARIABLES.split(' ').collect();
        self.shuffle(&mut known);
        let count = self.number(2, 6) as usize;
        let known = known.into_iter().take(count).map(str::to_owned);
        let unknown = (0..count).map(|_| self.word().to_uppercase());
        known.chain(unknown).map(|name| (name, self.fill(self.pick(&["@", "/@/@", "@ @", "@=@:@"])))).collect()
    }

    /// Returns a hostname of the given length, in bytes. One of 64 bytes has every kind of character that a name may have.
    pub fn hostname(&self, length: usize) -> String {
        let mut others = ["-", ".", "0", "7"];
        self.shuffle(&mut others);
        let mut others = others.into_iter().cycle();
        let mut name = self.word();
        while name.len() < length {
            name.extend(others.next());
            name.push_str(&self.word());
        }
        name.truncate(length);
        // A name doesn't end with a dot or a hyphen.
        name.trim_end_matches(['-', '.']).to_owned() + if name.ends_with(['-', '.']) { "z" } else { "" }
    }

    /// Returns two signals that end a process: one that asks or tells, and one of a fault or a limit.
    pub fn fatal_signals(&self) -> [Signal; 2] {
        let told = [Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGUSR2, Signal::SIGALRM];
        let fault = [Signal::SIGABRT, Signal::SIGSEGV, Signal::SIGPIPE, Signal::SIGXCPU];
        [self.pick(&told), self.pick(&fault)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_draws_the_same_values() {
        let all = |seed| {
            let draw = Draw::new(seed);
            (draw.arguments(), draw.variables(), draw.hostname(64), draw.word(), draw.status())
        };
        assert_eq!(all(7), all(7));
        assert_ne!(all(7), all(8));
    }

    #[test]
    fn what_is_drawn_is_allowed() {
        for seed in 0..200 {
            let draw = Draw::new(seed);
            let arguments = draw.arguments();
            assert!((12..=24).contains(&arguments.len()) && !arguments.iter().any(|it| it.contains(['\0', '@'])));
            let name = draw.hostname(64);
            assert!(name.len() == 64 && !name.ends_with(['-', '.']), "{name}");
            assert!(["-", ".", "0", "7"].iter().all(|other| name.contains(other)), "{name}");
            assert!(!["0", "126", "127"].contains(&draw.status().to_string().as_str()));
        }
    }
}
