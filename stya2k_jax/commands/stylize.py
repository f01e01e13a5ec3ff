"""The command `stylize.py`, also `stya2k stylize`."""

import sys
from pathlib import Path

from absl import flags

from stya2k_jax.commands import command_line, compile_cache
from stya2k_jax.errors import UserError
from stya2k_jax.inference.contents import find_contents
from stya2k_jax.inference.style import POLICIES
from stya2k_jax.inference.stylize_files import Styling, stylize_files
from stya2k_jax.inference.stylizer import COLORS, Stylizer
from stya2k_jax.pictures.reading import find_all
from stya2k_jax.weights.loading import MINI, load


def main() -> None:
    """Stylizes contents in styles; see `inference.stylize_files`."""
    checkpoint = flags.DEFINE_string(
        "checkpoint", MINI, "Model of convert_vgg.py, run of train.py, or the small model."
    )
    content = flags.DEFINE_multi_string("content", None, "Picture, clip or folder; repeatable.")
    style = flags.DEFINE_multi_string(
        "style", None, "Picture, folder or saved style (.safetensors); repeatable."
    )
    output = flags.DEFINE_string("output", None, "Directory for the results.")
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
    flags.mark_flags_as_required(["content", "style", "output"])

    def run(_) -> int:
        compile_cache.use(cache.value)
        contents = find_contents(content.value, fps.value, Path(output.value))
        styles = find_all(style.value)
        styling = Styling(
            styles,
            style_size.value,
            _numbers("style_interpolation_weights", weights.value),
            blended=weights.value is not None or masks.value is not None,
            block_policy=block_policy.value,
            save_to=Path(output.value) if save_styles.value else None,
        )
        stylizer = Stylizer(
            load(checkpoint.value), max_memory=max_memory.value * 2**30, tile_px=tile.value
        )
        failures = stylize_files(
            stylizer,
            contents,
            styling,
            Path(output.value),
            content_size=content_size.value,
            fps=fps.value,
            smoothing=smoothing.value,
            attention_at=_position(attention.value),
            folders=[Path(path) for path in content.value],
            alpha=alpha.value,
            preserve_color=preserve_color.value,
            masks=masks.value,
            content_mask=content_mask.value,
        )
        for reason in failures.values():
            print(f"error: {reason}", file=sys.stderr)
        if set(contents) - set(failures) and set(styles) - set(failures):
            print(f"The results are in {output.value}")
        return 1 if failures else 0

    command_line.run(run)


def _numbers(flag: str, values: list[str] | None) -> list[float] | None:
    try:
        return values and [float(value) for value in values]
    except ValueError:
        raise UserError(f"--{flag}={','.join(values)}: give numbers, as 0.3,0.7.") from None


def _position(values: list[str] | None) -> tuple[int, int] | None:
    if values is None:
        return None
    try:
        row, column = map(int, values)
    except ValueError:
        raise UserError(f"--save_attention={','.join(values)}: give row,column.") from None
    return row, column
