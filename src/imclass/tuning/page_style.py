"""Style of the page of a search."""

STYLE = """
:root { color-scheme: light dark; --page: #fff; --card: #f4f5f7; --line: #d8dce2; --text: #1f2430; --quiet: #667080;
  --bar: #4878a8; --bad: #b3261e; --best: #c05a00; }
@media (prefers-color-scheme: dark) {
  :root { --page: #15181d; --card: #1f242c; --line: #343b46; --text: #e4e7ec; --quiet: #98a2b3; --bar: #6ea2d8;
    --bad: #ff8a80; --best: #ffb066; } }
* { box-sizing: border-box; }
body { font: 15px/1.45 system-ui, sans-serif; margin: 0 auto; max-width: 96rem; padding: 1.2rem 1.5rem 4rem;
  color: var(--text); background: var(--page); }
h1 { font-size: 1.6rem; margin: 0 0 .8rem; overflow-wrap: anywhere; }
h2 { font-size: 1.3rem; margin: 2.2rem 0 .6rem; padding-top: .6rem; border-top: 2px solid var(--line); }
.quiet, figcaption { color: var(--quiet); }
.cards { display: flex; flex-wrap: wrap; gap: .8rem; }
.plots { display: grid; gap: .8rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 20rem), 1fr)); }
.plots.wide { grid-template-columns: repeat(auto-fit, minmax(min(100%, 28rem), 1fr)); max-width: 84rem; }
.card { background: var(--card); border-radius: .5rem; padding: .6rem 1rem; min-width: 7.5rem; }
.card b { display: block; font-size: 1.35rem; font-variant-numeric: tabular-nums; }
figure { margin: 0; }
svg { width: 100%; height: auto; display: block; }
svg text { fill: var(--quiet); font-size: 11px; }
svg .label { fill: var(--text); font-size: 12px; }
.grid { stroke: var(--line); stroke-width: 1; fill: none; }
.axis { stroke: var(--quiet); fill: none; }
.line { fill: none; stroke: var(--bar); stroke-width: 1.5; stroke-opacity: .55; }
.line.stopped { stroke-dasharray: 5 3; }
.line.leader { stroke: var(--best); stroke-width: 2.5; stroke-opacity: 1; }
circle { fill: var(--bar); fill-opacity: .75; }
circle.stopped { fill: var(--page); stroke: var(--bar); stroke-width: 1.5; }
circle.best { fill: var(--best); fill-opacity: 1; }
.line:hover, circle:hover { stroke: var(--text); stroke-opacity: 1; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; }
th, td { padding: .25rem .9rem .25rem 0; text-align: left; border-bottom: 1px solid var(--line); white-space: nowrap; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
.chosen td { color: var(--best); font-weight: 600; }
.bars { width: 16rem; max-width: 22vw; }
.bar { background: var(--bar); height: .7rem; border-radius: .2rem; min-width: 1px; }
"""
