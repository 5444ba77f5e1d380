//! The limits on time and processes.

use super::*;
use crate::check::verdict::{Checked, fail};

/// How long one check may take, by the sandbox's own clock. A good program needs some hundredths of a second.
pub const TIME_LIMIT: Duration = Duration::from_secs(10);
/// How long one check may take on the wall clock, however busy the machine is.
pub const WALL_LIMIT: Duration = Duration::from_secs(60);
/// The number of processes that a program may have.
pub const MOST_PROCESSES: usize = 200;
/// A program that runs out of time with more processes of the same command line than this is a fork bomb.
const MOST_ALIKE: usize = 20;
/// The kernel's limit on processes, because a fork bomb is faster than we count.
pub const PROCESS_LIMIT: u64 = 300;

/// The most that one tick counts; they are about a millisecond apart.
const LONGEST_TICK: Duration = Duration::from_millis(10);

impl Sandbox {
    /// Counts the time since the last tick, except what a busy machine kept this process, and so the program, waiting.
    pub fn tick(&self, last: &mut Instant) {
        let passed = std::mem::replace(last, Instant::now()).elapsed();
        self.time.set(self.time.get() + passed.min(LONGEST_TICK));
    }

    /// Fails if the time is up, or there are too many processes.
    pub fn enforce_limits(&self) -> Checked {
        let count = self.count_guests()?;
        if count > MOST_PROCESSES {
            self.close();
            let expected = format!("at most {MOST_PROCESSES} processes");
            return Err(fail!(ForksWithoutEnd, expected, "{count} new processes on the host"));
        }
        let seconds = self.opened.elapsed();
        if self.time.get() <= TIME_LIMIT && seconds <= WALL_LIMIT {
            return Ok(());
        }
        let guests = self.guests()?;
        self.close();
        let lines: Vec<_> = guests.iter().take(4).map(|it| format!("{} {} {}", it.pid, it.state, it.line())).collect();
        let seen = format!("still running after {} s: {}", seconds.as_secs(), lines.join("; "));
        // An interpreter forks too slowly to reach the limit on processes.
        let alike = |it: &Process| guests.iter().filter(|other| other.args == it.args).count();
        Err(match guests.iter().map(alike).max() {
            Some(number) if number > MOST_ALIKE => fail!(ForksWithoutEnd, "a program that ends", "{seen}"),
            _ => fail!(TooLong, "a program that ends", "{seen}"),
        })
    }
}
