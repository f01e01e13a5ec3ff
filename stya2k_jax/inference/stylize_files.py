"""Files in, files out: every content, picture or clip, in every style or in a blend of all."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image
from tqdm import tqdm

from stya2k_jax.errors import PictureError, UserError
from stya2k_jax.inference.attention_pictures import attention_pictures, save_attention
from stya2k_jax.inference.contents import subfolder
from stya2k_jax.inference.style import Style, is_style_file
from stya2k_jax.inference.stylizer import Stylizer
from stya2k_jax.network.sizes import Size
from stya2k_jax.pictures.arrays import write_png
from stya2k_jax.pictures.names import Pair, by_name, check_apart, short_name
from stya2k_jax.pictures.reading import Layers, read_layers, upright_size
from stya2k_jax.pictures.resizing import resize_short_side, resized_size
from stya2k_jax.video.stylize_clip import Stopped, is_clip, stylize_clip

STYLES_AT_ONCE = 8  # whose keys are kept in memory while all contents pass
FRAMES_AT_ONCE = 4
PICTURE_SIZE_PX = 512


class Styling(NamedTuple):
    """What styles are made of.

    Attributes:
      paths: picture files, or styles that were saved.
      size_px: short side to which pictures are resized; 0 keeps their size.
      weights: of a blend of all; None: equal, where they are blended.
      blended: one style of all, not each by itself.
      block_policy: as `Stylizer.encode_style` takes it.
      save_to: a directory for the encoded styles, or None.
    """

    paths: Sequence[Path]
    size_px: int = 512
    weights: Sequence[float] | None = None
    blended: bool = False
    block_policy: str = "trained"
    save_to: Path | None = None


def stylize_files(
    stylizer: Stylizer,
    contents: Sequence[Path],
    styling: Styling,
    output: Path,
    *,
    content_size: int | None = None,
    fps: float | None = None,
    smoothing: float = 0.0,
    attention_at: tuple[int, int] | None = None,
    folders: Sequence[Path] = (),
    **options: Any,
) -> dict[Path, str]:
    """Stylizes files as `output/{content}_stylized_{style}.png`, or .mp4, with progress bars.

    Args:
      stylizer: the model.
      contents: picture files and clips.
      styling: the styles; a blend is called `{style}+{style}`.
      output: directory, made where needed.
      content_size: short side in pixels to which contents are resized; 0 keeps their size. None:
        512 for pictures, 0 for clips.
      fps: frames per second of folders, which are clips.
      smoothing: of clips, as `stylize_clip` takes it.
      attention_at: row and column of a content's pixel; what it attends to is shown in the
        directory `output/{content}_stylized_{style}_attention`.
      folders: where contents were found; a content in a folder below one of these has its result
        in a folder of that name below `output`.
      **options: of `Stylizer.__call__`.

    Returns:
      Each file that could not be read or written, with the reason. Where it is a source, its
      results are missing.

    Raises:
      UserError: two contents or two styles of one name, whose results would overwrite each other.
    """
    contents = list(dict.fromkeys(contents))
    clips = [path for path in contents if is_clip(path) or (fps is not None and path.is_dir())]
    pictures = [path for path in contents if path not in clips]
    places = {path: output / subfolder(path, folders) for path in contents}
    for kind in (pictures, clips):
        check_apart("contents", kind, lambda path: (places[path], path.stem))
    styling = styling._replace(paths=list(by_name("styles", styling.paths).values()))
    output.mkdir(parents=True, exist_ok=True)
    failures: dict[Path, str] = {}
    picture_px = PICTURE_SIZE_PX if content_size is None else content_size
    clip_options: dict[str, Any] = dict(
        batch=FRAMES_AT_ONCE, smoothing=smoothing, size_px=content_size or 0
    )
    count = 1 if styling.blended else len(styling.paths)
    with (
        tqdm(total=len(pictures) * count, unit="picture", disable=not pictures) as progress,
        _prepared(stylizer, pictures, picture_px, styling, progress),
    ):
        for styles in _groups(_encoded(stylizer, styling, failures), STYLES_AT_ONCE):
            for path in pictures:
                layers = _read(path, picture_px, failures)
                if layers is None:
                    continue
                content = np.asarray(layers.rgb)
                for name, style in styles:
                    target = places[path] / f"{Pair(path.stem, name).stem}.png"
                    painted = stylizer(content, style, **options)
                    with _noted(target, failures):
                        write_png(target, painted, layers.alpha)
                        if attention_at is not None:
                            folder = target.with_name(f"{target.stem}_attention")
                            try:
                                show_attention(stylizer, content, style, attention_at, folder)
                            except UserError as error:
                                failures[folder] = f"{path}: {error}"
                    progress.set_postfix_str("", refresh=False)
                    progress.update()
            for path in clips:
                for name, style in styles:
                    target = places[path] / f"{Pair(path.stem, name).stem}.mp4"
                    paint: Any = partial(stylizer, style=style, **options)
                    try:
                        rate = fps if path.is_dir() else None  # a file has its own
                        with _noted(target, failures):
                            done = stylize_clip(paint, path, target, fps=rate, **clip_options)
                            for note in done.notes:
                                tqdm.write(f"{target}: {note}")
                    except Stopped:
                        raise
                    except UserError as error:
                        failures[path] = str(error)
    return failures


def show_attention(
    stylizer: Stylizer, content: np.ndarray, style: Style, position: tuple[int, int], folder: Path
) -> None:
    """Writes what a pixel of a content attends to, over the first picture of a style.

    What an earlier call has written there is replaced.

    Raises:
      UserError: the pixel is outside the content, or the folder holds something else.
    """
    maps = stylizer.attention(content, style, position)
    pictures = attention_pictures(maps, style.pictures[0][0], content)
    for name in pictures:
        (folder / f"{name}.png").unlink(missing_ok=True)
    save_attention(folder, pictures)


@contextmanager
def _prepared(
    stylizer: Stylizer, pictures: Sequence[Path], px: int, styling: Styling, progress: tqdm
) -> Iterator[None]:
    """Compiles in the background what pictures and styles need, and shows what is compiled."""
    sources = [path for path in styling.paths if not is_style_file(path)]
    one_at_a_time = pictures and not styling.blended
    begun = stylizer.prepare(
        _sizes(pictures, px),
        _sizes(sources, styling.size_px) if one_at_a_time else (),
        block_policy=styling.block_policy,
        tell=progress.set_postfix_str,
    )
    try:
        yield
    finally:
        for program in begun:
            program.cancel()


def _sizes(paths: Iterable[Path], px: int) -> list[Size]:
    """Returns the sizes to which pictures are resized, of those that can be read."""
    sizes = [upright_size(path) for path in paths]
    return [resized_size(size, px) for size in sizes if size is not None]


@contextmanager
def _noted(target: Path, failures: dict[Path, str]) -> Iterator[None]:
    """Notes that a result cannot be written, and goes on."""
    try:
        yield
    except OSError as error:
        failures[target] = f"{target} cannot be written: {error.strerror or error}."


def _encoded(
    stylizer: Stylizer, styling: Styling, failures: dict[Path, str]
) -> Iterator[tuple[str, Style]]:
    if styling.blended:
        parts = {path: _style_source(stylizer, path, styling, failures) for path in styling.paths}
        lacking = [path for path, part in parts.items() if part is None]
        if lacking:
            raise UserError(f"A blend needs all of its styles: {failures[lacking[0]]}")
        found: Iterable[tuple[str, Any]] = [
            ("+".join(path.stem for path in parts), list(parts.values()))
        ]
    else:
        found = (
            (path.stem, _style_source(stylizer, path, styling, failures)) for path in styling.paths
        )
    for name, source in found:
        if source is None:
            continue
        if isinstance(source, Style):
            yield name, source
            continue
        style = stylizer.encode_style(source, styling.weights, block_policy=styling.block_policy)
        if styling.save_to is not None:
            target = styling.save_to / f"{short_name(name)}.safetensors"
            with _noted(target, failures):
                style.save(target)
        yield name, style


def _style_source(
    stylizer: Stylizer, path: Path, styling: Styling, failures: dict[Path, str]
) -> Style | np.ndarray | None:
    if is_style_file(path):
        return stylizer.load_style(path)
    layers = _read(path, styling.size_px, failures)
    return None if layers is None else np.asarray(layers.rgb)


def _read(path: Path, size_px: int, failures: dict[Path, str]) -> Layers | None:
    try:
        rgb, alpha = read_layers(path)
        small = resize_short_side(rgb, size_px)
        return Layers(small, alpha and alpha.resize(small.size, Image.Resampling.BICUBIC))
    except PictureError as error:
        failures[path] = str(error)
        return None


def _groups(items: Iterator, size: int) -> Iterator[list]:
    group = []
    for item in items:
        group.append(item)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group
