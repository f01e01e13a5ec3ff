"""Paints pictures and clips in the style of others: `stya2k stylize photo.jpg painting.jpg`.

Contents come first, the style last, as with `cp`. With `--style` all arguments are contents, with
`--content` all are styles. Each is a file, a folder, `-` (the input), or `drawn:NAME` for a picture
that the project draws (`stya2k styles` lists them).
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from absl import flags

from stya2k_jax.commands import command_line, compile_cache
from stya2k_jax.commands.command_line import UsageError
from stya2k_jax.commands.stylize_arguments import (
    check_format,
    contents_and_styles,
    find_sources,
    numbers,
    output_of,
)
from stya2k_jax.commands.stylize_reports import json_line, put_on_sheet
from stya2k_jax.inference.results import Result
from stya2k_jax.inference.style import POLICIES
from stya2k_jax.inference.stylize_files import Styling, stylize_files
from stya2k_jax.inference.stylizer import COLORS, Stylizer
from stya2k_jax.pictures.contact_sheet import ContactSheet, check_fits
from stya2k_jax.pictures.writing import DEFAULT_QUALITY, FORMATS, write_picture
from stya2k_jax.weights.loading import MINI, load


def main() -> None:
    """Stylizes contents in styles; see `inference.stylize_files`."""
    checkpoint = flags.DEFINE_string(
        "checkpoint", MINI, "Model of convert_vgg.py, run of train.py, or the small model."
    )
    content = flags.DEFINE_multi_string(
        "content", None, "Picture, clip, folder, drawn:NAME or - (the input); repeatable."
    )
    style = flags.DEFINE_multi_string(
        "style",
        None,
        "Picture, folder, saved style (.safetensors), drawn:NAME, drawn:all or -; repeatable.",
    )
    output = flags.DEFINE_string(
        "output",
        None,
        "Folder for the results; or the file of one result, whose suffix is the format; or -, the "
        "standard output. Default: the current folder; - if the content is -; none with --sheet.",
        short_name="o",
    )
    content_size = flags.DEFINE_integer(
        "content_size",
        None,
        "Short side of contents in pixels; 0 keeps their size. Default: 512, of clips 0.",
        lower_bound=0,
    )
    style_size = flags.DEFINE_integer(
        "style_size", 512, "Short side of styles in pixels; 0 keeps their size.", lower_bound=0
    )
    alpha = flags.DEFINE_float("alpha", 1.0, "Strength: 0 is the content, 1 the model, up to 3.")
    preserve_color = flags.DEFINE_enum(
        "preserve_color",
        COLORS[0],
        COLORS,
        "Keep the content's colors: change lightness alone, or recolor the style first.",
    )
    weights = flags.DEFINE_list(
        "style_interpolation_weights", None, "A weight for each style, as 0.3,0.7: blends them all."
    )
    masks = flags.DEFINE_multi_string(
        "mask", None, "Mask, white where a style is painted; one for each style, in their order."
    )
    content_mask = flags.DEFINE_string(
        "content_mask", None, "White where the content stays as it is."
    )
    block_policy = flags.DEFINE_enum(
        "block_policy", POLICIES[0], POLICIES, "Larger blocks for large styles."
    )
    save_styles = flags.DEFINE_bool(
        "save_styles", False, "Keep each encoded style in the output, as a .safetensors file."
    )
    attention = flags.DEFINE_list(
        "save_attention", None, "Show what the content attends to at this pixel: row,column."
    )
    fps = flags.DEFINE_float(
        "fps", None, "Folders of --content are clips of so many frames per second.", lower_bound=0
    )
    smoothing = flags.DEFINE_float(
        "smoothing",
        0.0,
        "How closely a frame of a clip follows the one before: 0 (not), or about 0.8.",
        0,
        0.99,
    )
    max_memory = flags.DEFINE_float(
        "max_memory", 1.0, "GiB for a picture's features; larger ones are painted in tiles.", 0
    )
    tile = flags.DEFINE_integer(
        "tile",
        None,
        "Side of a tile in pixels, a multiple of 64; default: 512, small models 256.",
        128,
    )
    cache = flags.DEFINE_string(
        "compile_cache", None, "Directory for compiled programs; '' for none; default: ~/.cache."
    )
    form = flags.DEFINE_enum(
        "format", None, [name[1:] for name in FORMATS], "Of pictures in a folder or on -; png."
    )
    quality = flags.DEFINE_integer(
        "quality",
        None,
        f"Of jpg, webp and avif files; default: {DEFAULT_QUALITY}.",
        lower_bound=1,
        upper_bound=100,
    )
    sheet_file = flags.DEFINE_string(
        "sheet", None, "File for one picture of all: contents in rows, styles in columns."
    )
    as_json = flags.DEFINE_bool("json", False, "Print a line of JSON for each result.")
    quiet = flags.DEFINE_bool("quiet", False, "Print errors only.", short_name="q")

    def run(argv: Sequence[str]) -> int:
        given, given_styles = contents_and_styles(argv[1:], content.value, style.value)
        has_sheet = sheet_file.value is not None
        target = output_of(
            output.value, given, form=form.value, quality=quality.value, sheet=has_sheet
        )
        no_folder = target.nothing or target.stream is not None
        if no_folder and (save_styles.value or attention.value):
            raise UsageError("--save_styles and --save_attention need --output=FOLDER.")
        if target.stream is not None and as_json.value:
            raise UsageError("--json and the picture both want the output; give -o FILE.")
        if has_sheet:
            check_format(Path(sheet_file.value).suffix)
        styling = Styling(
            [],
            style_size.value,
            numbers("style_interpolation_weights", weights.value),
            blended=weights.value is not None or masks.value is not None,
            block_policy=block_policy.value,
            save_to=target.folder if save_styles.value else None,
        )
        position = _position(attention.value)

        compile_cache.use(cache.value)
        sources = find_sources(
            given,
            given_styles,
            fps=fps.value,
            style_size=style_size.value,
            folder=None if no_folder or target.holds_one else target.folder,
            stdin=sys.stdin.buffer,
        )
        if has_sheet:
            check_fits(len(sources.contents), 1 if styling.blended else len(sources.styles))
        stylizer = Stylizer(
            load(checkpoint.value), max_memory=max_memory.value * 2**30, tile_px=tile.value
        )
        sheet, targets = ContactSheet(), []

        def note(result: Result) -> None:
            targets.append(result.target)
            if as_json.value:
                print(json_line(result), flush=True)
            if has_sheet:
                put_on_sheet(sheet, result)

        failures = stylize_files(
            stylizer,
            sources.contents,
            styling._replace(paths=sources.styles),
            target,
            named=sources.named,
            on_result=note,
            progress=not quiet.value,
            content_size=content_size.value,
            fps=fps.value,
            smoothing=smoothing.value,
            attention_at=position,
            folders=[Path(path) for path in given],
            alpha=alpha.value,
            preserve_color=preserve_color.value,
            masks=masks.value,
            content_mask=content_mask.value,
        )
        for reason in failures.values():
            print(f"error: {reason}", file=sys.stderr)
        if len(sheet):
            write_picture(sheet_file.value, np.asarray(sheet.image()))
        if targets and not (quiet.value or as_json.value or target.stream is not None):
            if len(targets) == 1 and not target.nothing:
                print(f"The result is {targets[0]}")
            elif not target.nothing:
                print(f"The results are in {target.folder}")
            if len(sheet):
                print(f"The sheet is {sheet_file.value}")
        return command_line.FAILED if failures else 0

    command_line.run(run, "[CONTENT ...] [STYLE]")


def _position(values: list[str] | None) -> tuple[int, int] | None:
    if values is None:
        return None
    try:
        row, column = map(int, values)
    except ValueError:
        raise UsageError(f"--save_attention={','.join(values)}: give row,column.") from None
    return row, column
