"""The stylesheet of report pages: colours are named once, dark mode redefines only them."""

STYLE = """
:root {
  color-scheme: light dark;
  --ground: #f6f7f5; --card: #ffffff; --ink: #1b2430; --muted: #5d6875; --line: #d9dee2;
  --accent: #0d7a6f; --accent-soft: #dff1ee; --plain: #7f9dc4; --alarm: #b3401f;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #11161c; --card: #1a2129; --ink: #e6ebf0; --muted: #97a4b1; --line: #313b46;
    --accent: #2fb8a6; --accent-soft: #17322f; --plain: #5b80b0; --alarm: #f08a65;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; padding: 2.5rem 1.25rem 4rem; background: var(--ground); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", "Noto Sans", "DejaVu Sans", sans-serif;
}
main { max-width: 62rem; margin-inline: auto; }
h1 { margin: 0; font-size: 1.9rem; letter-spacing: -0.02em; line-height: 1.2; }
h1.set { margin-block-start: 3rem; }
h2 { margin: 0 0 .9rem; font-size: 1.1rem; }
p { margin: 0 0 .8rem; }
header p { color: var(--muted); margin-block: .4rem 0; }
section {
  margin-block-start: 1.25rem; padding: 1.35rem 1.5rem; background: var(--card);
  border: 1px solid var(--line); border-radius: 14px;
}
.verdict { margin-block: 1.4rem 1.2rem; font-size: 1.12rem; }
.alarm {
  border-inline-start: 4px solid var(--alarm); padding: .5rem .9rem; background: var(--card);
  border-radius: 6px;
}
.tiles { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(12.5rem, 1fr)); }
.tile {
  padding: 1.05rem 1.25rem; background: var(--card); border: 1px solid var(--line);
  border-radius: 14px;
}
.tile.main { background: var(--accent-soft); border-color: var(--accent); }
.tile b { display: block; font-size: 2.1rem; line-height: 1.15; letter-spacing: -0.03em; }
.tile span { display: block; color: var(--muted); font-size: .88rem; }
.tile .what { color: var(--ink); font-weight: 600; font-size: .95rem; }
.scroll { overflow-x: auto; }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .42rem .5rem; text-align: start; border-block-end: 1px solid var(--line); }
thead th { color: var(--muted); font-weight: 500; font-size: .85rem; white-space: nowrap; }
tbody tr:last-child > * { border-block-end: 0; }
tbody th { font-weight: 500; min-width: 9rem; }
tr.router th, tr.router td { background: var(--accent-soft); font-weight: 600; }
.number { text-align: end; white-space: nowrap; }
small { min-width: 12rem; color: var(--muted); font-weight: 400; display: block; line-height: 1.3; }
.gauge { position: relative; height: .9rem; min-width: 13rem; }
.gauge::before {
  content: ""; position: absolute; inset: calc(50% - 1px) 0; background: var(--line);
}
.gauge i, .gauge u { position: absolute; inset-block: 0; }
.gauge i { inset-block: .12rem; background: var(--plain); border-radius: 3px; min-width: 4px; }
.gauge u { width: 3px; margin-inline-start: -1.5px; border-radius: 2px; background: var(--ink); }
tr.router .gauge i { background: var(--accent); }
figure { margin: 0; overflow-x: auto; }
figure svg { display: block; width: 100%; min-width: 40rem; height: auto; }
figure svg * { stroke-linejoin: round; stroke-linecap: butt; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .3rem 1.2rem; margin: 0; }
dt { color: var(--muted); }
dd { margin: 0; overflow-wrap: anywhere; }
code { font: .92em ui-monospace, "DejaVu Sans Mono", monospace; }
@media (max-width: 34rem) { dl { grid-template-columns: 1fr; } dd { margin-block-end: .5rem; } }
@media print { body { background: none; padding: 0; } section { break-inside: avoid; } }
"""
