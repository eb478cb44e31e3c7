//! A picture of hit ratio over size, readable on light and dark ground.

use std::fmt::Write;

use crate::hit_ratio::{Ratios, SIZES};
use crate::replay::OPTIMUM;

const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 280.0;
const LEFT: f64 = 50.0;
const TOP: f64 = 30.0;
const COLOURS: [&str; 6] = [
    "#d9480f", "#1c7ed6", "#2b8a3e", "#ae3ec9", "#e8a200", "#0b8f8f",
];

/// The picture of one trace as SVG.
pub fn draw(ratios: &Ratios) -> String {
    let mut svg = String::new();
    let (full_width, full_height) = (LEFT + WIDTH + 210.0, TOP + HEIGHT + 45.0);
    let mut add = |text: String| writeln!(svg, "{text}").expect("a string takes everything");
    add(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {full_width} {full_height}\" \
         font-family=\"sans-serif\" font-size=\"12\" color=\"#808080\" fill=\"currentColor\">"
    ));
    add(format!(
        "<text x=\"{LEFT}\" y=\"18\" font-size=\"15\">{}</text>",
        ratios.name
    ));
    for tenth in (0..=10).step_by(2) {
        let y = y_of(f64::from(tenth) / 10.0);
        let right = LEFT + WIDTH;
        add(format!(
            "<path d=\"M{LEFT} {y}H{right}\" stroke=\"currentColor\" opacity=\"0.3\"/>\
             <text x=\"{}\" y=\"{}\" text-anchor=\"end\">{} %</text>",
            LEFT - 6.0,
            y + 4.0,
            tenth * 10
        ));
    }
    for (size, percent) in SIZES.iter().enumerate() {
        let (x, y) = (x_of(size), TOP + HEIGHT + 18.0);
        add(format!(
            "<text x=\"{x}\" y=\"{y}\" text-anchor=\"middle\">{percent} %</text>"
        ));
    }
    add(format!(
        "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">room, in percent of the keys</text>",
        LEFT + WIDTH / 2.0,
        TOP + HEIGHT + 36.0
    ));
    for (row, (name, points)) in ratios.rows.iter().enumerate() {
        let colour = COLOURS[row % COLOURS.len()];
        let dash =
            ["", " stroke-dasharray=\"6 3\"", " stroke-dasharray=\"2 3\""][row / COLOURS.len() % 3];
        let width = if name == OPTIMUM || name == "larder adaptive" {
            3
        } else {
            1
        };
        let at = |(size, ratio): (usize, &f64)| format!("{:.1},{:.1}", x_of(size), y_of(*ratio));
        let line: Vec<String> = points.iter().enumerate().map(at).collect();
        let (x, y) = (LEFT + WIDTH + 15.0, TOP + 12.0 + 18.0 * row as f64);
        add(format!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\"{dash}/>\
             <path d=\"M{x} {}h24\" stroke=\"{colour}\" stroke-width=\"{width}\"{dash}/>\
             <text x=\"{}\" y=\"{y}\">{name}</text>",
            line.join(" "),
            y - 4.0,
            x + 30.0
        ));
    }
    add("</svg>".to_owned());
    svg
}

/// Sizes are spread as their logarithms.
fn x_of(size: usize) -> f64 {
    let (first, last) = (SIZES[0].ln(), SIZES[SIZES.len() - 1].ln());
    LEFT + WIDTH * (SIZES[size].ln() - first) / (last - first)
}

fn y_of(ratio: f64) -> f64 {
    TOP + HEIGHT * (1.0 - ratio)
}
