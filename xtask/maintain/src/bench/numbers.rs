//! The arithmetic of the bench, and the reading of other programs' figures. Nothing here looks at the machine.

use std::time::Duration;

/// The middle half of some values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// A quarter of the values is below.
    pub low: f64,
    /// Half of them is below.
    pub median: f64,
    /// A quarter of them is above.
    pub high: f64,
}

impl Spread {
    /// Of these values, with straight lines between neighbours; `None` without a value.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Spread> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let last = values.len().checked_sub(1)?;
        let at = |part: f64| {
            let place = part * last as f64;
            let (below, above) = (values[place.floor() as usize], values[place.ceil() as usize]);
            below + (above - below) * place.fract()
        };
        Some(Spread { low: at(0.25), median: at(0.5), high: at(0.75) })
    }

    /// `0.91 (0.88–0.95)`: the median, and in parentheses the quartiles.
    pub fn show(&self, digits: usize) -> String {
        format!("{:.digits$} ({:.digits$}–{:.digits$})", self.median, self.low, self.high)
    }
}

/// Two programs that ran in turn: how long each run took, the pairs in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Race {
    /// One run of the first, and one of the second.
    pub pairs: Vec<(Duration, Duration)>,
}

impl Race {
    /// The first by the second.
    pub fn ratio(&self) -> Option<Spread> {
        Spread::of(self.pairs.iter().map(|(a, b)| a.as_secs_f64() / b.as_secs_f64()))
    }

    /// What the first takes longer than the second, in milliseconds.
    pub fn difference(&self) -> Option<Spread> {
        Spread::of(self.pairs.iter().map(|(a, b)| milliseconds(*a) - milliseconds(*b)))
    }

    /// The first alone, in milliseconds.
    pub fn first(&self) -> Option<Spread> {
        Spread::of(self.pairs.iter().map(|(a, _)| milliseconds(*a)))
    }

    /// The second alone, in milliseconds.
    pub fn second(&self) -> Option<Spread> {
        Spread::of(self.pairs.iter().map(|(_, b)| milliseconds(*b)))
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// How many system calls a run made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// All.
    pub all: u64,
    /// Those that only reset a signal to its default.
    pub rt_sigaction: u64,
}

/// Reads the table of `strace -c`: `% time`, `seconds`, `usecs/call`, `calls`, `errors` (or nothing), `syscall`.
pub fn strace_table(text: &str) -> Option<Calls> {
    let mut calls = Calls::default();
    for line in text.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [time, _, _, count, .., name] = fields.as_slice() else { continue };
        // The heading, the rule, and the sum, in which versions of strace differ.
        let (Ok(_), Ok(count), true) = (time.parse::<f64>(), count.parse::<u64>(), *name != "total") else { continue };
        calls.all += count;
        if *name == "rt_sigaction" {
            calls.rt_sigaction += count;
        }
    }
    (calls.all > 0).then_some(calls)
}

/// A line of /proc/PID/status in kB, such as `VmHWM`.
pub fn status_kb(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

/// A table as Markdown, its columns padded, so that a terminal shows it as well. All but the first are numbers, to the right.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([head[column].chars().count(), 3]).max().unwrap_or(3)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |cells: &[String]| {
        let mut line = String::from("|");
        for (column, &width) in widths.iter().enumerate() {
            let cell = cells.get(column).map_or("", String::as_str);
            let padded = if column == 0 { format!(" {cell:<width$} |") } else { format!(" {cell:>width$} |") };
            line.push_str(&padded);
        }
        line + "\n"
    };
    let head: Vec<String> = head.iter().map(|cell| (*cell).to_owned()).collect();
    let dashes = |(column, &width): (usize, &usize)| {
        if column == 0 { "-".repeat(width) } else { "-".repeat(width - 1) + ":" }
    };
    let rule: Vec<String> = widths.iter().enumerate().map(dashes).collect();
    line(&head) + &line(&rule) + &rows.iter().map(|row| line(row)).collect::<String>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(values: &[f64]) -> Spread {
        Spread::of(values.iter().copied()).unwrap()
    }

    #[test]
    fn the_median_and_the_quartiles_whatever_the_order() {
        assert_eq!(spread(&[5.0, 1.0, 4.0, 2.0, 3.0]), Spread { low: 2.0, median: 3.0, high: 4.0 });
        assert_eq!(spread(&[4.0, 1.0, 2.0, 3.0]), Spread { low: 1.75, median: 2.5, high: 3.25 });
        assert_eq!(spread(&[7.0]), Spread { low: 7.0, median: 7.0, high: 7.0 });
        assert_eq!(Spread::of([]), None);
        assert_eq!(spread(&[1.0, 2.0, 4.0]).show(1), "2.0 (1.5–3.0)");
    }

    #[test]
    fn a_ratio_is_taken_pair_by_pair() {
        // A machine that became three times as slow in between: each pair says 2, and the medians of the sides would not.
        let pair = |a, b| (Duration::from_millis(a), Duration::from_millis(b));
        let race = Race { pairs: vec![pair(2, 1), pair(6, 3), pair(6, 3), pair(2, 1), pair(20, 10)] };
        assert_eq!(race.ratio().unwrap(), Spread { low: 2.0, median: 2.0, high: 2.0 });
        assert!((race.difference().unwrap().median - 3.0).abs() < 1e-9);
        assert!((race.first().unwrap().median - 6.0).abs() < 1e-9);
        assert!((race.second().unwrap().median - 3.0).abs() < 1e-9);
        assert_eq!(Race::default().ratio(), None);
    }

    #[test]
    fn the_table_of_strace_is_added_up() {
        let text = "\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ------------------
 59.33    0.000747         373         2           wait4
  4.53    0.000057           0       252           rt_sigaction
  0.32    0.000004           2         2         2 ioctl
------ ----------- ----------- --------- --------- ------------------
100.00    0.001259           4       256         2 total
";
        assert_eq!(strace_table(text), Some(Calls { all: 256, rt_sigaction: 252 }));
        assert_eq!(strace_table("strace: ptrace(PTRACE_TRACEME): EPERM\n"), None);
    }

    #[test]
    fn the_peak_of_memory_is_in_the_status() {
        let status = "Name:\tsh\nVmPeak:\t    9000 kB\nVmHWM:\t    2044 kB\nVmRSS:\t 12 kB\n";
        assert_eq!(status_kb(status, "VmHWM"), Some(2044));
        // Of a kernel thread or a zombie.
        assert_eq!(status_kb("Name:\tsh\nThreads:\t1\n", "VmHWM"), None);
    }

    #[test]
    fn a_table_is_markdown_and_its_columns_are_straight() {
        let rows = vec![vec!["`bwrap`".into(), "0.9 (0.8–1)".into()], vec!["x".into()]];
        let expected = "\
| beside  |       ratio |
| ------- | ----------: |
| `bwrap` | 0.9 (0.8–1) |
| x       |             |
";
        assert_eq!(table(&["beside", "ratio"], &rows), expected);
    }
}
