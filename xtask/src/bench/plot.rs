//! Small pictures of measurements, as SVG: panels of bars from zero, or of points on logarithmic axes.
//!
//! Written here because a picture needs so little: rectangles, lines and text. `plotters`, the usual crate, would have to
//! be told each of them as well for bars with whiskers in named groups, and its last release is of 2024.
//!
//! The same data give the same bytes, so that a picture changes only with what it shows. The ground is white, and the
//! colours are told apart by those who see few of them (Okabe and Ito).

use std::fmt::Write as _;

use super::numbers::{short, whole};
use super::stats::Spread;
use super::svg::{escaped, line, text, wrapped};

const COLOURS: [&str; 4] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7"];
/// Pixels, as all lengths here: a panel, and its part that the marks are in.
const PANEL_WIDTH: f64 = 300.0;
const PANEL_HEIGHT: f64 = 270.0;
const LEFT: f64 = 66.0;
const TOP: f64 = 34.0;
const WIDE: f64 = 222.0;
const HIGH: f64 = 180.0;
/// Above and below the panels.
const HEAD: f64 = 58.0;
const CAPTION_LINE: f64 = 14.0;

/// A picture.
pub(crate) struct Plot {
    pub(crate) title: String,
    /// When, where and from what.
    pub(crate) caption: String,
    /// What the colours mean: the number of a series, and its name.
    pub(crate) series: Vec<(usize, String)>,
    pub(crate) panels: Vec<Panel>,
}

/// A pair of axes, with their titles.
pub(crate) struct Panel {
    pub(crate) title: String,
    pub(crate) x: String,
    pub(crate) y: String,
    pub(crate) marks: Marks,
}

/// What is drawn: the median, and a whisker from the lowest to the highest.
pub(crate) enum Marks {
    /// From zero, those of one group side by side.
    Bars(Vec<Bar>),
    /// At these places, those of one series joined: both axes logarithmic, the lower one of `1 + x` so that it has a zero.
    Points(Vec<(f64, usize, Spread)>),
}

/// The name of its group, the number of the series, and the value; none is said to be none, for it would look like the best.
pub(crate) type Bar = (String, usize, Option<Spread>);

impl Plot {
    /// The picture as text.
    pub(crate) fn svg(&self) -> String {
        let columns = self.panels.len().clamp(1, 3);
        let rows = self.panels.len().div_ceil(columns);
        let width = (real(columns) * PANEL_WIDTH).max(2.0 * PANEL_WIDTH);
        let caption = wrapped(&self.caption, if columns == 3 { 155 } else { 100 });
        let below = HEAD + real(rows) * PANEL_HEIGHT;
        let height = below + real(caption.len() + 1) * CAPTION_LINE;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" \
             height=\"{height:.0}\" font-family=\"sans-serif\" font-size=\"11\" fill=\"#222\">\n<title>{}</title>\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n",
            escaped(&self.title)
        );
        text(&mut svg, (12.0, 22.0), "font-size=\"15\" font-weight=\"bold\"", &self.title);
        let mut at = 12.0;
        for (series, name) in &self.series {
            let fill = colour(*series);
            let _ = writeln!(svg, "<rect x=\"{at:.1}\" y=\"34\" width=\"11\" height=\"11\" fill=\"{fill}\"/>");
            text(&mut svg, (at + 16.0, 44.0), "", name);
            at += 40.0 + 6.5 * real(name.chars().count());
        }
        for (index, panel) in self.panels.iter().enumerate() {
            let (x, y) = (real(index % columns) * PANEL_WIDTH, HEAD + real(index / columns) * PANEL_HEIGHT);
            let _ = writeln!(svg, "<g transform=\"translate({x:.0} {y:.0})\">");
            panel.draw(&mut svg);
            svg.push_str("</g>\n");
        }
        for (line, words) in (1..).zip(&caption) {
            text(&mut svg, (12.0, below + real(line) * CAPTION_LINE), "font-size=\"10\" fill=\"#555\"", words);
        }
        svg.push_str("</svg>\n");
        svg
    }
}

impl Panel {
    fn draw(&self, svg: &mut String) {
        let middle = LEFT + WIDE / 2.0;
        text(svg, (middle, TOP - 14.0), "text-anchor=\"middle\" font-weight=\"bold\"", &self.title);
        text(svg, (middle, TOP + HIGH + 36.0), "text-anchor=\"middle\"", &self.x);
        let turned = format!("text-anchor=\"middle\" transform=\"rotate(-90 14 {:.1})\"", TOP + HIGH / 2.0);
        text(svg, (14.0, TOP + HIGH / 2.0), &turned, &self.y);
        match &self.marks {
            Marks::Bars(bars) => draw_bars(svg, bars),
            Marks::Points(points) => draw_points(svg, points),
        }
        line(svg, (LEFT, TOP + HIGH), (LEFT + WIDE, TOP + HIGH), "#222");
    }
}

fn draw_bars(svg: &mut String, bars: &[Bar]) {
    let top = bars.iter().filter_map(|(.., value)| Some((*value)?.max)).fold(0.0, f64::max) * 1.12;
    let step = step(top);
    // From zero, so that the heights are as the values.
    let height = |value: f64| HIGH * value / top.max(f64::MIN_POSITIVE);
    for tick in (0..).map(|number| f64::from(number) * step).take_while(|tick| *tick <= top) {
        grid(svg, TOP + HIGH - height(tick), &shown(tick));
    }
    let mut groups: Vec<&str> = bars.iter().map(|(group, ..)| group.as_str()).collect();
    groups.dedup();
    let room = WIDE / real(groups.len().max(1));
    for (index, group) in groups.iter().enumerate() {
        let left = LEFT + real(index) * room;
        text(svg, (left + room / 2.0, TOP + HIGH + 16.0), "text-anchor=\"middle\"", group);
        let here: Vec<_> = bars.iter().filter(|(of, ..)| of == group).collect();
        let wide = (room * 0.84 / real(here.len())).min(48.0);
        let first = left + (room - wide * real(here.len())) / 2.0;
        for (place, (_, series, value)) in here.into_iter().enumerate() {
            let x = first + real(place) * wide;
            let Some(value) = value else {
                let at = (x + wide / 2.0, TOP + HIGH - 4.0);
                let turned = format!("font-size=\"10\" transform=\"rotate(-90 {:.1} {:.1})\"", at.0 + 3.0, at.1);
                text(svg, (at.0 + 3.0, at.1), &turned, "no answer");
                continue;
            };
            let tall = height(value.median);
            let _ = writeln!(
                svg,
                "<rect class=\"bar\" x=\"{:.2}\" y=\"{:.2}\" width=\"{:.2}\" height=\"{tall:.2}\" fill=\"{}\"/>",
                x + 1.0,
                TOP + HIGH - tall,
                wide - 2.0,
                colour(*series)
            );
            let y = |value: f64| TOP + HIGH - height(value);
            whisker(svg, x + wide / 2.0, (y(value.min), y(value.max)), "#222");
            text(
                svg,
                (x + wide / 2.0, y(value.max) - 4.0),
                "text-anchor=\"middle\" font-size=\"10\"",
                &short(value.median),
            );
        }
    }
}

fn draw_points(svg: &mut String, points: &[(f64, usize, Spread)]) {
    let positive = || points.iter().filter(|(.., value)| value.min > 0.0);
    let lowest = positive().map(|(.., value)| value.min).fold(f64::INFINITY, f64::min).log10().floor();
    let highest = positive().map(|(.., value)| value.max).fold(0.0, f64::max).log10().ceil().max(lowest + 1.0);
    let farthest = points.iter().map(|(x, ..)| *x).fold(9.0, f64::max).ln_1p();
    let x = |value: f64| LEFT + 12.0 + (WIDE - 34.0) * value.ln_1p() / farthest;
    let y = |value: f64| TOP + HIGH - HIGH * (value.log10() - lowest) / (highest - lowest);
    for tick in (0..=8).map(|number| lowest + f64::from(number)).take_while(|tick| *tick <= highest) {
        grid(svg, y(10_f64.powf(tick)), &shown(10_f64.powf(tick)));
    }
    let mut places: Vec<f64> = points.iter().map(|(x, ..)| *x).collect();
    places.sort_by(f64::total_cmp);
    places.dedup();
    for place in places {
        text(svg, (x(place), TOP + HIGH + 16.0), "text-anchor=\"middle\"", &shown(place));
    }
    for series in 0..COLOURS.len() {
        // Beside each other, or the whiskers of one would hide those of another.
        let x = |value: f64| x(value) + 5.0 * real(series);
        let of_series: Vec<_> = positive().filter(|(_, of, _)| *of == series).collect();
        for pair in of_series.windows(2) {
            if let [(from, _, before), (to, _, after)] = pair {
                line(svg, (x(*from), y(before.median)), (x(*to), y(after.median)), colour(series));
            }
        }
        for (place, _, value) in of_series {
            whisker(svg, x(*place), (y(value.min), y(value.max)), colour(series));
            let (at, high) = (x(*place), y(value.median));
            let _ = writeln!(
                svg,
                "<circle class=\"point\" cx=\"{at:.2}\" cy=\"{high:.2}\" r=\"3.5\" fill=\"{}\"/>",
                colour(series)
            );
        }
    }
}

fn whisker(svg: &mut String, x: f64, (low, high): (f64, f64), colour: &str) {
    line(svg, (x, low), (x, high), colour);
    line(svg, (x - 3.0, low), (x + 3.0, low), colour);
    line(svg, (x - 3.0, high), (x + 3.0, high), colour);
}

fn grid(svg: &mut String, y: f64, label: &str) {
    line(svg, (LEFT, y), (LEFT + WIDE, y), "#ddd");
    text(svg, (LEFT - 5.0, y + 4.0), "text-anchor=\"end\"", label);
}

fn colour(series: usize) -> &'static str {
    COLOURS.get(series).copied().unwrap_or("#222")
}

/// One, two or five times a power of ten, so that about five of them reach the top.
fn step(top: f64) -> f64 {
    let rough = top.max(f64::MIN_POSITIVE) / 5.0;
    let ten = 10_f64.powf(rough.log10().floor());
    [1.0, 2.0, 5.0].into_iter().map(|times| times * ten).find(|step| *step >= rough).unwrap_or(10.0 * ten)
}

/// A number at an axis.
fn shown(value: f64) -> String {
    match value {
        value if value >= 1e6 => format!("{}M", value / 1e6),
        value if value >= 1.0 || value == 0.0 => whole(value),
        value => format!("{}", (value * 1e6).round() / 1e6),
    }
}

#[expect(clippy::cast_precision_loss, reason = "as many as fit into a picture")]
fn real(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(marks: Marks) -> String {
        let panel = Panel { title: "a < b".to_owned(), x: "tenants".to_owned(), y: "1/s".to_owned(), marks };
        let series = vec![(0, "one".to_owned()), (1, "two".to_owned())];
        Plot { title: "t".to_owned(), caption: "c".to_owned(), series, panels: vec![panel] }.svg()
    }

    /// A number that every element of a class has.
    fn every(svg: &str, class: &str, attribute: &str) -> Vec<f64> {
        let elements = svg.split('<').filter(|element| element.contains(&format!("class=\"{class}\"")));
        let value = |element: &str| element.split(&format!(" {attribute}=\"")).nth(1)?.split('"').next()?.parse().ok();
        elements.map(|element| value(element).unwrap()).collect()
    }

    fn exactly(value: f64) -> Spread {
        Spread { median: value, min: value, max: value }
    }

    #[test]
    fn bars_are_as_high_as_their_values() {
        let spread = Spread { median: 40.0, min: 30.0, max: 80.0 };
        let bars = vec![
            ("a".to_owned(), 0, Some(exactly(10.0))),
            ("a".to_owned(), 1, Some(spread)),
            ("b".to_owned(), 0, Some(exactly(20.0))),
        ];
        let svg = plot(Marks::Bars(bars));
        let heights = every(&svg, "bar", "height");
        let by_first: Vec<f64> = heights.iter().map(|height| (10.0 * height / heights[0]).round() / 10.0).collect();
        assert_eq!(by_first, [1.0, 4.0, 2.0]);
        // They all stand on one line, and the highest whisker, of twice the highest bar, is still in the panel.
        let feet: Vec<f64> =
            every(&svg, "bar", "y").iter().zip(&heights).map(|(y, height)| (y + height).round()).collect();
        assert_eq!(feet, [TOP + HIGH; 3]);
        assert!(2.0 * heights[1] <= HIGH, "{heights:?}");
    }

    #[test]
    fn what_was_not_answered_has_no_bar_and_says_so() {
        let svg = plot(Marks::Bars(vec![("a".to_owned(), 0, None), ("a".to_owned(), 1, Some(exactly(1.0)))]));
        assert_eq!((every(&svg, "bar", "height").len(), svg.matches(">no answer<").count()), (1, 1));
    }

    #[test]
    fn points_are_as_far_apart_as_their_orders_of_magnitude() {
        let points = vec![(0.0, 0, exactly(1.0)), (99.0, 0, exactly(10.0)), (9_999.0, 0, exactly(1_000.0))];
        let svg = plot(Marks::Points(points));
        let gaps = |of: &str| {
            let values = every(&svg, "point", of);
            ((values[1] - values[0]).abs(), (values[2] - values[1]).abs())
        };
        let ((across, across_again), (up, up_again)) = (gaps("cx"), gaps("cy"));
        assert!((across - across_again).abs() < 0.1 && (2.0 * up - up_again).abs() < 0.1, "{svg}");
        assert!(every(&svg, "point", "cy").windows(2).all(|pair| pair[1] < pair[0]), "more is higher");
    }

    #[test]
    fn an_axis_has_about_five_round_steps() {
        assert_eq!([4.9, 10.0, 23.0, 98_000.0].map(step), [1.0, 2.0, 5.0, 20_000.0]);
    }
}
