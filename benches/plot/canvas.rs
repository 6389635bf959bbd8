//! An SVG document with its colours, for light pages and for dark ones.

use std::fmt::Write as _;

/// Which end of a text is at its place.
#[derive(Debug, Clone, Copy)]
pub enum Anchor {
    Start,
    Middle,
    End,
}

/// What was drawn so far.
#[derive(Debug, Default)]
pub struct Canvas {
    body: String,
}

// With a ground of its own: a page may be dark where the reader's system is light.
const STYLE: &str = "
text { font: 13px -apple-system, 'Segoe UI', 'DejaVu Sans', Helvetica, Arial, sans-serif; fill: #1f2328 }
.title { font-size: 17px; font-weight: 600 }
.head { font-weight: 600 }
.small { font-size: 11px; fill: #59636e }
.value { font-size: 11px; stroke: #ffffff; stroke-width: 4; paint-order: stroke }
.good { font-weight: 600; fill: #1a7f37 }
.bad { font-weight: 600; fill: #cf222e }
.ground { fill: #ffffff; stroke: #d1d9e0 }
.kept { fill: #4ac26b }
.missed { fill: #ff8182 }
.grid { stroke: #e6eaef; fill: none }
.limit { stroke: #59636e; stroke-width: 1.5; stroke-dasharray: 5 4; fill: none }
.ours { stroke: #0969da; stroke-width: 2; stroke-linejoin: round; fill: none }
.dot { fill: #0969da }
@media (prefers-color-scheme: dark) {
text { fill: #f0f6fc }
.small { fill: #9198a1 }
.value { stroke: #0d1117 }
.good { fill: #3fb950 }
.bad { fill: #f85149 }
.ground { fill: #0d1117; stroke: #3d444d }
.kept { fill: #238636 }
.missed { fill: #b62324 }
.grid { stroke: #262c36 }
.limit { stroke: #9198a1 }
.ours { stroke: #4493f8 }
.dot { fill: #4493f8 }
}
";

impl Canvas {
    /// Writes a line of text; `y` is its baseline.
    pub fn text(&mut self, (x, y): (f64, f64), anchor: Anchor, class: &str, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let text = text.replace('&', "&amp;").replace('<', "&lt;");
        self.put(&format!(r#"<text class="{class}" x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{text}</text>"#));
    }

    /// Fills a rectangle.
    pub fn rect(&mut self, class: &str, (x, y): (f64, f64), (width, height): (f64, f64)) {
        self.put(&format!(
            r#"<rect class="{class}" x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" rx="3"/>"#
        ));
    }

    /// Draws through the points.
    pub fn line(&mut self, class: &str, points: &[(f64, f64)]) {
        let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        self.put(&format!(r#"<polyline class="{class}" points="{}"/>"#, points.join(" ")));
    }

    /// Marks a point.
    pub fn dot(&mut self, (x, y): (f64, f64)) {
        self.put(&format!(r#"<circle class="dot" cx="{x:.1}" cy="{y:.1}" r="3.5"/>"#));
    }

    fn put(&mut self, element: &str) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.body, "{element}");
    }

    /// The document.
    pub fn finish(self, title: &str, (width, height): (f64, f64)) -> String {
        format!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0}" height="{height:.0}" viewBox="0 0 {width:.0} {height:.0}" role="img">
<title>{title}</title>
<style>{STYLE}</style>
<rect class="ground" x="0.5" y="0.5" width="{:.0}" height="{:.0}" rx="6"/>
{}</svg>
"#,
            width - 1.0,
            height - 1.0,
            self.body
        )
    }
}
