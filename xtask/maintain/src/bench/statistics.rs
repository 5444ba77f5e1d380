//! Medians of pairs of runs.

use serde::{Deserialize, Serialize};

/// Returns the median of some values and their quartiles, as `0.91 (0.88–0.95)`, with straight lines between neighbours.
pub fn median(values: impl IntoIterator<Item = f64>) -> String {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let Some(last) = values.len().checked_sub(1) else { return "–".into() };
    let at = |part: f64| {
        let place = part * last as f64;
        let (below, above) = (values[place.floor() as usize], values[place.ceil() as usize]);
        below + (above - below) * place.fract()
    };
    format!("{:.2} ({:.2}–{:.2})", at(0.5), at(0.25), at(0.75))
}

/// Two programs that ran in turn: the milliseconds of both, for each pair of runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Race(pub Vec<(f64, f64)>);

impl Race {
    /// Returns the first by the second.
    pub fn ratio(&self) -> String {
        median(self.0.iter().map(|(a, b)| a / b))
    }

    /// Returns by how many milliseconds the first takes longer.
    pub fn difference(&self) -> String {
        median(self.0.iter().map(|(a, b)| a - b))
    }

    /// Returns the milliseconds of the first.
    pub fn first(&self) -> String {
        median(self.0.iter().map(|(a, _)| *a))
    }

    /// Returns the milliseconds of the second.
    pub fn second(&self) -> String {
        median(self.0.iter().map(|(_, b)| *b))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_and_the_quartiles_whatever_the_order() {
        assert_eq!(median([5.0, 1.0, 4.0, 2.0, 3.0]), "3.00 (2.00–4.00)");
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), "2.50 (1.75–3.25)");
        assert_eq!(median([7.0]), "7.00 (7.00–7.00)");
        assert_eq!(median([]), "–");
    }

    #[test]
    fn a_ratio_is_taken_pair_by_pair() {
        // A machine that became three times as slow in between: each pair says 2, and the medians of the sides would not.
        let race = Race(vec![(2.0, 1.0), (6.0, 3.0), (6.0, 3.0), (2.0, 1.0), (20.0, 10.0)]);
        assert_eq!(race.ratio(), "2.00 (2.00–2.00)");
        assert_eq!(race.difference(), "3.00 (1.00–3.00)");
        assert_eq!(race.first(), "6.00 (2.00–6.00)");
        assert_eq!(race.second(), "3.00 (1.00–3.00)");
        assert_eq!(Race::default().ratio(), "–");
    }
}
