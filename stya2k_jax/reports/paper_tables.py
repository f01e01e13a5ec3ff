"""The paper's tables, to show beside measured ones.

Its protocol is not published, so only orders and ratios can be compared.
"""

from collections.abc import Mapping, Sequence
from html import escape

# Content loss, style loss, LPIPS, seconds for a picture of 512 x 512 on an RTX 3090.
TABLE_1 = {
    "StyA2K": (0.55, 1.04, 0.52, 0.0143),
    "StyTr2": (0.83, 1.20, 0.57, 0.1004),
    "AdaAttN": (1.00, 1.24, 0.59, 0.0269),
    "SANet": (0.96, 0.99, 0.63, 0.0041),
    "MST": (0.77, 2.65, 0.57, 1.3906),
    "Avatar-Net": (1.26, 3.96, 0.64, 0.3348),
    "AdaIN": (0.91, 1.16, 0.62, 0.0038),
}
# Content loss, style loss, LPIPS of the variants.
TABLE_2 = {
    "all_to_all": (0.73, 1.16, 0.56),
    "no_da": (0.59, 1.48, 0.51),
    "no_pa": (0.58, 1.00, 0.59),
    "no_pa_step1": (0.65, 0.73, 0.56),
    "single_head": (0.65, 1.05, 0.54),
    "full": (0.55, 1.04, 0.52),
}
# Warping error by style; of StyA2K the five values average 4.11, though the paper prints 4.24.
TABLE_3 = {
    "AdaAttN": (3.03, 3.46, 6.00, 3.78, 8.45),
    "StyA2K": (2.58, 2.56, 4.99, 3.21, 7.23),
}
COLUMNS = {  # of tables 1 and 2: the metric of ours that stands beside the paper's
    "content loss per layer": "content_loss_per_layer",
    "style loss per layer": "style_loss_per_layer",
    "LPIPS": "lpips",
}


def beside_paper(
    summaries: Mapping[str, Mapping[str, dict]],
    paper: Mapping[str, Sequence[float]],
    speeds: Mapping[str, Mapping] | None = None,
) -> str:
    """Lays measured means beside the paper's as an HTML table, matched by the system's name.

    The paper's other systems follow.

    Args:
      summaries: `summarise` by system.
      paper: `TABLE_1` or `TABLE_2`.
      speeds: `speed.measure` by system, for a column of seconds.
    """
    head = [*COLUMNS, "seconds"][: len(next(iter(paper.values())))]
    printed = {name.lower(): (name, values) for name, values in paper.items()}
    rows, nothing = [], ["–"] * len(head)
    for system, summary in summaries.items():
        cells = [_mean(summary, name) for name in COLUMNS.values()]
        if len(head) > len(COLUMNS):
            cells.append(_number((speeds or {}).get(system, {}).get("seconds")))
        _, theirs = printed.pop(system.lower(), ("", None))
        cells += nothing if theirs is None else map(_number, theirs)
        rows.append(_row(escape(system), cells))
    rows += [_row(name, [*nothing, *map(_number, theirs)]) for name, theirs in printed.values()]
    title = "".join(f"<th>{name}</th>" for name in head)
    groups = "".join(
        f'<th class="group" colspan="{len(head)}">{name}</th>' for name in ("here", "in the paper")
    )
    titles = f"<tr><th></th>{groups}</tr><tr><th>system</th>{title}{title}</tr>"
    return f'<div class="wide"><table>{titles}{"".join(rows)}</table></div>'


def clip_table(rows: Sequence[Mapping], metric: str, baseline: str | None = None) -> str:
    """Lays a metric of clips out: clips and styles in rows, systems in columns.

    Args:
      rows: of `measure_clips`.
      metric: such as `"warping_2_interval_1"`.
      baseline: a system to which ratios are added.
    """
    systems = list(dict.fromkeys(row["system"] for row in rows))
    values = {(r["content"], r["style"], r["system"]): r.get(metric) for r in rows}
    cases = list(dict.fromkeys((row["content"], row["style"]) for row in rows if row["style"]))
    cases = cases or [(row["content"], "") for row in rows]
    lines = []
    for clip, style in cases:
        numbers = [values.get((clip, style, s), values.get((clip, "", s))) for s in systems]
        cells = [_number(value) for value in numbers]
        if baseline in systems:
            base = values.get((clip, style, baseline))
            ratios = (v / base if v is not None and base else None for v in numbers)
            cells += [_number(v) for s, v in zip(systems, ratios, strict=True) if s != baseline]
        lines.append(_row(f"{escape(clip)}, {escape(style)}", cells))
    head = "".join(f"<th>{escape(s)}</th>" for s in systems)
    if baseline in systems:
        others = (s for s in systems if s != baseline)
        head += "".join(f"<th>{escape(s)} / {escape(baseline)}</th>" for s in others)
    return (
        f'<div class="wide"><table><tr><th>{escape(metric)}</th>{head}</tr>'
        f"{''.join(lines)}</table></div>"
    )


def _mean(summary: Mapping[str, dict], name: str) -> str:
    return _number(summary[name]["mean"] if name in summary else None)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


def _row(name: str, cells: Sequence[str]) -> str:
    return f"<tr><td>{name}</td>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"
