"""The command `stylize.py`, also `stya2k-stylize`."""

import sys
from pathlib import Path

from absl import flags

from stya2k_jax import command_line
from stya2k_jax.images import find_all
from stya2k_jax.loading import MINI, load


def main() -> None:
    """Stylizes every pair of contents and styles; see `stya2k_jax.stylizing.stylize_files`."""
    checkpoint = flags.DEFINE_string(
        "checkpoint", MINI, "Model of convert_vgg.py, run of train.py, or the small model."
    )
    content = flags.DEFINE_multi_string("content", None, "Picture or folder; may be repeated.")
    style = flags.DEFINE_multi_string("style", None, "Picture or folder; may be repeated.")
    output = flags.DEFINE_string("output", None, "Directory for the results.")
    content_size = flags.DEFINE_integer(
        "content_size", 512, "Short side of contents in pixels; 0 keeps their size.", lower_bound=0
    )
    style_size = flags.DEFINE_integer(
        "style_size", 512, "Short side of styles in pixels; 0 keeps their size.", lower_bound=0
    )
    flags.mark_flags_as_required(["content", "style", "output"])

    def run(_) -> int:
        from stya2k_jax.stylizing import Stylizer, stylize_files

        contents, styles = find_all(content.value), find_all(style.value)
        failures = stylize_files(
            Stylizer(load(checkpoint.value)),
            contents,
            styles,
            Path(output.value),
            content_size=content_size.value,
            style_size=style_size.value,
        )
        for reason in failures.values():
            print(f"error: {reason}", file=sys.stderr)
        if set(contents) - set(failures) and set(styles) - set(failures):
            print(f"The results are in {output.value}")
        return 1 if failures else 0

    command_line.run(run)


if __name__ == "__main__":
    main()
