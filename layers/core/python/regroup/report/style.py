"""The stylesheet of the page and of the plots in it.

c1 to c8 are the colours of Okabe and Ito (2008, https://jfly.uni-koeln.de/color/), which readers
with any common colour blindness can tell apart; black is the text's colour here, since the page
may be dark, and thin yellow lines are darker on white.
"""

STYLE = """\
:root {
  --page: #f6f7f9; --card: #fff; --ink: #1b2026; --soft: #57606a; --rule: #d5dae0;
  --grid: #e4e8ec;
  --edge: rgb(0 0 0 / .45); --thin-yellow: #b39b00;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #0e1216; --card: #171c22; --ink: #e8ebee; --soft: #a4aeb8; --rule: #38414b;
    --grid: #2a323a;
    --edge: rgb(255 255 255 / .4); --thin-yellow: #f0e442;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--page); color: var(--ink); line-height: 1.5;
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Hiragino Sans",
    "Yu Gothic UI", Meiryo, "Noto Sans CJK JP", "Noto Sans JP", sans-serif;
  overflow-wrap: anywhere; -webkit-text-size-adjust: 100%; print-color-adjust: exact;
}
main { max-width: 1160px; margin: 0 auto; padding: 1.25rem 1rem 3rem; }
h1 { font-size: 1.05rem; font-weight: 600; margin: 0; }
h2 { font-size: 1.05rem; font-weight: 600; margin: 0 0 .6rem; }
.made { margin: 0; color: var(--soft); font-size: .875rem; }
.verdict {
  display: flex; gap: .6em; margin: .9rem 0 1.5rem; padding: .1em 0 .1em .6em;
  border-left: .2em solid var(--c); font-size: clamp(1.35rem, 1rem + 1.9vw, 2.1rem);
  font-weight: 650; line-height: 1.25; text-wrap: pretty;
}
.verdict span:last-child::first-letter { text-transform: uppercase; }
.verdict.yes { --c: #009e73; }
.verdict.no { --c: #d55e00; }
.sign {
  flex: none; width: 1.3em; height: 1.3em; border: .08em solid var(--c); border-radius: 50%;
  text-align: center; font-size: .9em; line-height: 1.15em;
}
section, figure {
  margin: 0 0 1rem; padding: 1rem; background: var(--card); border: 1px solid var(--rule);
  border-radius: 10px;
}
.note, figcaption { margin: .6rem 0 0; color: var(--soft); font-size: .875rem; }
.plots { columns: 2; column-gap: 1rem; margin-bottom: 1rem; }
.plots:has(> figure:only-child) { columns: 1; max-width: 640px; }
figure { break-inside: avoid; }
@media (max-width: 860px) {
  .plots { columns: 1; }
  section, figure { padding: .8rem .75rem; }
}

.scroll { overflow-x: auto; }
table {
  border-collapse: separate; border-spacing: 0; font-size: .875rem;
  font-variant-numeric: tabular-nums;
}
.scroll > table { min-width: 100%; }
th, td {
  padding: .35rem .7rem; text-align: left; vertical-align: top; white-space: nowrap;
}
tbody tr > * { border-top: 1px solid var(--rule); }
thead th { color: var(--soft); font-weight: 500; vertical-align: bottom; }
tbody th {
  position: sticky; left: 0; background: var(--card); font-weight: 600; white-space: normal;
  min-width: 7rem; max-width: 16rem;
}
thead th:first-child { position: sticky; left: 0; background: var(--card); }
th:first-child { padding-left: 0; }
.n { text-align: right; }
details { margin-top: .5rem; font-size: .875rem; }
summary { cursor: pointer; color: var(--soft); }
dl {
  display: grid; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); gap: .7rem 1.5rem;
  margin: 0;
}
dt { color: var(--soft); font-size: .8rem; }
dd { margin: 0; }

.drawing { display: block; width: 100%; height: auto; }
.legend {
  display: flex; flex-wrap: wrap; gap: .15rem 1rem; margin: .5rem 0 0; padding: 0;
  list-style: none; font-size: .875rem;
}
.legend li { display: flex; gap: .4rem; align-items: flex-start; }
.key { flex: none; width: 26px; height: 14px; margin-top: .22rem; }
.drawing text { font-size: 13px; fill: var(--soft); }
.drawing .title { fill: var(--ink); text-anchor: middle; }
.axis path { stroke: var(--soft); stroke-width: 1; fill: none; }
.axis .guide path { stroke: var(--grid); }
.axis.x text { text-anchor: middle; }
.axis.y text { text-anchor: end; }
.drawing .labels text {
  font-size: 12px; font-weight: 500; fill: var(--ink); stroke: var(--card); stroke-width: 3px;
  stroke-linejoin: round; paint-order: stroke;
}
.drawing .labels .number { font-size: 13px; font-weight: 700; }
.labels path { stroke: var(--soft); stroke-width: .8; fill: none; }
.line { fill: none; stroke: var(--c); stroke-width: 2.4; stroke-linejoin: round; }
.band { fill: var(--c); fill-opacity: .17; stroke: none; }
.dot, .diamond, .bar { fill: var(--c); stroke: var(--card); stroke-width: 1; }
.bar { stroke: none; }
.ring { fill: none; stroke: var(--c); stroke-width: 2; }
.dot.small { stroke: var(--edge); stroke-width: .5; }
.ring.small { stroke-width: 1.4; }
.line.s1 { stroke-dasharray: 6 4; }
.line.s2 { stroke-dasharray: 2 3; }
.line.s3 { stroke-dasharray: 10 3 2 3; }
.c0 { --c: var(--soft); }
.c1 { --c: #0072b2; }
.c2 { --c: #d55e00; }
.c3 { --c: #009e73; }
.c4 { --c: #cc79a7; }
.c5 { --c: #56b4e9; }
.c6 { --c: #e69f00; }
.c7 { --c: #f0e442; }
.c8 { --c: var(--ink); }
.line.c7, .ring.c7 { stroke: var(--thin-yellow); }
"""
