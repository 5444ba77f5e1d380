//! Bar charts, as SVG inside Markdown: in the theme's colours, and each bar with its quartiles and its value as text.

use std::fmt::Write as _;

use super::races::Quartiles;

/// The width of a chart in its own units, which is about that of a phone's screen; and where the bars begin and end.
const WIDTH: f64 = 372.0;
const BARS: (f64, f64) = (96.0, 262.0);
const ROW: f64 = 26.0;

/// A bar, with words at both ends.
pub struct Bar {
    pub label: String,
    /// The class of its colour, such as `step4`; `peer` for others.
    pub class: String,
    pub value: Quartiles,
    pub text: String,
}

/// The position of a value on the axis.
pub enum Axis {
    /// Each decade has the same width. Bars begin at the decade below the smallest value.
    Logarithmic,
    /// Bars begin at 1, to the right if the ratio is greater.
    Ratio,
}

/// Returns a chart, without a blank line, which would end it for Markdown. The title must differ from those of other charts on the
/// page.
pub fn render(id: &str, title: &str, axis: &Axis, bars: &[Bar]) -> String {
    let least = bars.iter().map(|bar| bar.value.low).fold(f64::INFINITY, f64::min);
    let greatest = bars.iter().map(|bar| bar.value.high).fold(0.0, f64::max);
    // Where the axis begins and ends, where bars begin, and the values that get a line.
    let (start, end, origin, lines) = match axis {
        Axis::Logarithmic => {
            let decades = least.log10().floor() as i32..=greatest.log10().ceil() as i32;
            let lines: Vec<f64> = decades.map(|decade| 10_f64.powi(decade)).collect();
            (lines[0], greatest, lines[0], lines)
        }
        Axis::Ratio => (least.min(1.0), greatest.max(1.0), 1.0, vec![1.0]),
    };
    let scale = |value: f64| match axis {
        Axis::Logarithmic => value.log10(),
        Axis::Ratio => value,
    };
    let x = |value: f64| BARS.0 + (BARS.1 - BARS.0) * (scale(value) - scale(start)) / (scale(end) - scale(start));
    let height = ROW * bars.len() as f64 + 24.0;
    let mut svg = format!(
        "<figure class=\"diagram\">\n<svg class=\"diagram chart\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
         aria-labelledby=\"{id}\">\n<title id=\"{id}\">{title}</title>\n"
    );
    for value in lines.into_iter().filter(|it| *it <= end) {
        let (x, unit) = (x(value), if matches!(axis, Axis::Logarithmic) { " ms" } else { " ×" });
        let _ = writeln!(svg, "<path class=\"grid\" d=\"M{x:.1} 0V{:.0}\"/>", height - 22.0);
        let _ =
            writeln!(svg, "<text x=\"{x:.1}\" y=\"{:.0}\" text-anchor=\"middle\">{value}{unit}</text>", height - 6.0);
    }
    for (row, Bar { label, class, value: Quartiles { low, median, high }, text }) in bars.iter().enumerate() {
        let top = ROW * row as f64;
        let (from, to) = (x(median.min(origin)), x(median.max(origin)));
        let (middle, base) = (top + ROW / 2.0, top + ROW / 2.0 + 4.5);
        let _ = writeln!(
            svg,
            "<g class=\"{class}\"><text x=\"0\" y=\"{base}\">{label}</text>\
             <rect x=\"{from:.1}\" y=\"{:.0}\" width=\"{:.1}\" height=\"{:.0}\"/>\
             <path d=\"M{:.1} {middle}H{:.1}\"/><text x=\"{WIDTH}\" y=\"{base}\" text-anchor=\"end\">{text}</text></g>",
            top + 4.0,
            to - from,
            ROW - 8.0,
            x(*low),
            x(*high),
        );
    }
    svg + "</svg>\n</figure>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(median: f64) -> Bar {
        let value = Quartiles { low: median * 0.9, median, high: median * 1.1 };
        Bar { label: format!("of {median}"), class: "peer".into(), value, text: format!("{median} ms") }
    }

    /// Returns where each bar begins, and its width.
    fn rectangles(svg: &str) -> Vec<(f64, f64)> {
        let number = |text: &str, name: &str| -> f64 {
            text.split_once(name).unwrap().1.split('"').next().unwrap().parse().unwrap()
        };
        svg.split("<rect").skip(1).map(|it| (number(it, "x=\""), number(it, " width=\""))).collect()
    }

    #[test]
    fn ten_times_as_much_is_one_decade_more() {
        let svg = render("a", "Times", &Axis::Logarithmic, &[2.0, 20.0, 200.0].map(bar));
        let widths: Vec<f64> = rectangles(&svg).iter().map(|(_, width)| *width).collect();
        let (first, second) = (widths[1] - widths[0], widths[2] - widths[1]);
        assert!(first > 50.0 && (first - second).abs() < 0.2, "{widths:?}");
        for part in
            ["<title id=\"a\">Times</title>", ">1 ms</text>", ">100 ms</text>", ">of 20</text>", ">200 ms</text>"]
        {
            assert!(svg.contains(part), "no {part} in {svg}");
        }
        assert!(!svg.contains("\n\n") && !svg.contains("1000 ms"), "{svg}");
    }

    #[test]
    fn a_ratio_below_one_is_to_the_left_of_it() {
        let bars = rectangles(&render("a", "Ratios", &Axis::Ratio, &[2.0, 0.8, 1.0].map(bar)));
        assert_eq!((bars[1].0 + bars[1].1 - bars[0].0).round(), 0.0, "{bars:?}");
        assert!(bars[0].1 > 4.0 * bars[1].1 && bars[2].1 == 0.0, "{bars:?}");
    }

    #[test]
    fn nothing_is_outside_of_the_bars_place() {
        for axis in [Axis::Logarithmic, Axis::Ratio] {
            for (x, width) in rectangles(&render("a", "T", &axis, &[0.03, 0.9, 1.0, 76.0].map(bar))) {
                assert!(x >= BARS.0 && x + width <= BARS.1 + 0.1, "{x} {width}");
            }
        }
    }
}
