"""Programs compiled beforehand, for pictures of common aspects."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future

from stya2k_jax.inference.stylizer import Stylizer
from stya2k_jax.network.sizes import Size

ASPECTS = (1.0, 5 / 4, 4 / 3, 3 / 2, 16 / 9)  # of photographs and screens
_STYLE_ASPECTS = (1.0, 4 / 3)  # whose keys have as many blocks as those of nearly all paintings


def common_sizes(short_px: int, aspects: Sequence[float]) -> list[Size]:
    """Returns heights and widths of pictures of common aspects, across and upright."""
    across = [(short_px, round(short_px * aspect)) for aspect in aspects]
    return list(dict.fromkeys([*across, *((width, height) for height, width in across)]))


def warm(
    stylizer: Stylizer, short_px: int, tell: Callable[[str], None] | None = None
) -> list[Future]:
    """Begins to compile what one picture at a time in one style at a time needs.

    Args:
      stylizer: the model.
      short_px: short side of contents and styles.
      tell: as `Stylizer.prepare` takes it.

    Returns:
      A future for each program that is being compiled.
    """
    sizes = common_sizes(short_px, ASPECTS)
    across = common_sizes(short_px, _STYLE_ASPECTS)[: len(_STYLE_ASPECTS)]
    begun = []
    for style in (*across, *(size for size in sizes if size not in across)):
        contents = sizes if style in across else ()
        begun += stylizer.prepare(contents, [style], beforehand=True, tell=tell)
    return begun


def warm_for_any_style(stylizer: Stylizer, short_px: int) -> list[Future]:
    """Begins to compile what any picture in any style needs, for a process that serves many.

    Keys of all styles get one shape, that of the largest. Painting in small ones takes a little
    longer, and no program is compiled for each kind of style. Arguments as `warm`.
    """
    sizes = common_sizes(short_px, (*ASPECTS, 2.0))
    return stylizer.prepare(sizes, sizes, beforehand=True)
