"""The paper's tables, to show beside measured numbers.

The paper's protocol is not published, so only orders and ratios can be compared.
"""

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from stya2k_jax.reports.metric_tables import number
from stya2k_jax.reports.page import fill, macro

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
COLUMNS = {  # of tables 1 and 2: the metric of ours that stands beside the paper's
    "content loss per layer": "content_loss_per_layer",
    "style loss per layer": "style_loss_per_layer",
    "LPIPS": "lpips",
}


def beside_paper(
    summaries: Mapping[str, Mapping[str, dict]],
    paper: Mapping[str, Sequence[float]],
    speeds: Mapping[str, Mapping] | None = None,
) -> Markup:
    """Lays measured means beside the paper's as an HTML table, matched by the system's name.

    The paper's other systems follow.

    Args:
      summaries: `summarize` by system.
      paper: `TABLE_1` or `TABLE_2`.
      speeds: `speed.measure` by system, for a column of seconds.
    """
    head = [*COLUMNS, "seconds"][: len(next(iter(paper.values())))]
    printed = {name.lower(): (name, values) for name, values in paper.items()}
    rows, nothing = [], [None] * len(head)
    for system, summary in summaries.items():
        ours = [summary.get(name, {}).get("mean") for name in COLUMNS.values()]
        if len(head) > len(COLUMNS):
            ours.append((speeds or {}).get(system, {}).get("seconds"))
        _, theirs = printed.pop(system.lower(), ("", nothing))
        rows.append([system, *map(number, (*ours, *theirs))])
    rows += [[name, *map(number, (*nothing, *theirs))] for name, theirs in printed.values()]
    return fill("paper.html", table=macro("grouped_table", ("here", "in the paper"), head, rows))


def clip_table(rows: Sequence[Mapping], metric: str, baseline: str | None = None) -> Markup:
    """Lays a metric of clips out: clips and styles in rows, systems in columns.

    Args:
      rows: of `measure_clips`.
      metric: such as `"warping_2_interval_1"`.
      baseline: a system to which ratios are added.
    """
    systems = list(dict.fromkeys(row["system"] for row in rows))
    others = [s for s in systems if s != baseline] if baseline in systems else []
    values = {(r["content"], r["style"], r["system"]): r.get(metric) for r in rows}
    cases = list(dict.fromkeys((row["content"], row["style"]) for row in rows if row["style"]))
    cases = cases or [(row["content"], "") for row in rows]
    lines = []
    for clip, style in cases:
        numbers = {s: values.get((clip, style, s), values.get((clip, "", s))) for s in systems}
        base = values.get((clip, style, baseline))
        ratios = [numbers[s] / base if numbers[s] is not None and base else None for s in others]
        lines.append([f"{clip}, {style}", *map(number, (*numbers.values(), *ratios))])
    head = [metric, *systems, *(f"{s} / {baseline}" for s in others)]
    return macro("table", head, lines)
