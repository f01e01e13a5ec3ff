"""Files in, files out: every content, picture or clip, in every style or in a blend of all."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
from stya2k_jax.inference.results import Output, Result
from stya2k_jax.inference.style import Style, is_style_file
from stya2k_jax.inference.stylizer import Stylizer
from stya2k_jax.network.sizes import Size, size_of
from stya2k_jax.pictures.named import Named
from stya2k_jax.pictures.names import Pair, check_apart, short_name
from stya2k_jax.pictures.reading import Layers, read_layers, upright_size
from stya2k_jax.pictures.resizing import resize_short_side, resized_size
from stya2k_jax.pictures.writing import UnwritableError, check_suffix
from stya2k_jax.video.stylize_clip import Stopped, StylizedClip, is_clip, stylize_clip

STYLES_AT_ONCE = 8  # whose keys are kept in memory while all contents pass
FRAMES_AT_ONCE = 4
PICTURE_SIZE_PX = 512


class Styling(NamedTuple):
    """What styles are made of.

    Attributes:
      paths: picture files, or styles that were saved; or what stands for `named` pictures.
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
    output: Path | Output,
    *,
    named: Mapping[Path, Named] | None = None,
    on_result: Callable[[Result], None] | None = None,
    progress: bool = True,
    content_size: int | None = None,
    fps: float | None = None,
    smoothing: float = 0.0,
    attention_at: tuple[int, int] | None = None,
    folders: Sequence[Path] = (),
    **options: Any,
) -> dict[Path, str]:
    """Stylizes files as `output/{content}_stylized_{style}.png`, or .mp4.

    Args:
      stylizer: the model.
      contents: picture files and clips.
      styling: the styles; a blend is called `{style}+{style}`.
      output: directory, made where needed; or what `Output` can say besides.
      named: pictures that are no files, by the paths that stand for them among contents and styles.
      on_result: is called with each result when it is written.
      progress: whether to show progress bars, on stderr.
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
      UserError: two contents or two styles of one name, whose results would overwrite each other;
        several results for an output that holds one; or an output that is one of the sources.
    """
    output = output if isinstance(output, Output) else Output(output)
    named = named or {}
    contents = list(dict.fromkeys(contents))
    clips = [path for path in contents if is_clip(path) or (fps is not None and path.is_dir())]
    pictures = [path for path in contents if path not in clips]
    places = {path: subfolder(path, folders) for path in contents}
    names = {path: _name(path, named) for path in contents}
    for kind in (pictures, clips):
        check_apart("contents", kind, lambda path: (places[path], names[path]))
    styling = styling._replace(paths=list(dict.fromkeys(styling.paths)))
    check_apart("styles", styling.paths, lambda path: _name(path, named))
    count = 1 if styling.blended else len(styling.paths)
    sources = {path for path in (*contents, *styling.paths) if path not in named}
    _check_output(output, pictures, clips, count, sources)
    if not (output.holds_one or output.nothing):
        output.folder.mkdir(parents=True, exist_ok=True)
    failures: dict[Path, str] = {}
    picture_px = PICTURE_SIZE_PX if content_size is None else content_size
    read = partial(_read, size_px=picture_px, named=named, failures=failures)
    say = on_result or (lambda _: None)
    clip_options: dict[str, Any] = dict(
        batch=FRAMES_AT_ONCE, smoothing=smoothing, size_px=content_size or 0, progress=progress
    )
    hidden = not pictures or not progress
    with (
        tqdm(total=len(pictures) * count, unit="picture", disable=hidden) as bar,
        _prepared(stylizer, pictures, picture_px, styling, named, bar),
    ):
        encoded = _encoded(stylizer, styling, named, failures)
        for styles in _groups(encoded, STYLES_AT_ONCE):
            for path in pictures:
                layers = read(path)
                if layers is None:
                    continue
                content = np.asarray(layers.rgb)
                for made_of, name, style in styles:
                    pair = Pair(names[path], name)
                    target = output.target(places[path], pair)
                    start = time.perf_counter()
                    painted = stylizer(content, style, **options)
                    seconds = time.perf_counter() - start
                    result = Result(
                        path,
                        made_of,
                        pair,
                        None if output.nothing or output.stream else target,
                        painted.shape[:2],
                        seconds,
                        shown=(content, painted, style),
                    )
                    with _noted(target, failures) as written:
                        output.write(target, painted, layers.alpha)
                        if attention_at is not None:
                            folder = target.with_name(f"{target.stem}_attention")
                            try:
                                show_attention(stylizer, content, style, attention_at, folder)
                            except UserError as error:
                                failures[folder] = f"{path}: {error}"
                    if written:
                        say(result)
                    bar.set_postfix_str("", refresh=False)
                    bar.update()
            for path in clips:
                for made_of, name, style in styles:
                    pair = Pair(names[path], name)
                    target = output.target(places[path], pair, ".mp4")
                    paint: Any = partial(stylizer, style=style, **options)
                    rate = fps if path.is_dir() else None  # a file has its own
                    try:
                        with _noted(target, failures) as written:
                            start = time.perf_counter()
                            clip, size = _clip(paint, path, target, fps=rate, **clip_options)
                            seconds = time.perf_counter() - start
                    except Stopped:
                        raise
                    except UserError as error:
                        failures[path] = str(error)
                        continue
                    if written:
                        say(Result(path, made_of, pair, target, size, seconds, clip.frames))
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


def _clip(
    paint: Callable[..., np.ndarray], path: Path, target: Path, **options: Any
) -> tuple[StylizedClip, Size]:
    """Stylizes a clip, says what its result lacks, and returns height and width of its frames."""
    sizes: list[Size] = []

    def noting(frames: np.ndarray) -> np.ndarray:
        sizes[:] = [size_of(frames.shape)]
        return paint(frames)

    done = stylize_clip(noting, path, target, **options)
    for note in done.notes:
        tqdm.write(f"{target}: {note}", file=sys.stderr)
    return done, sizes[0]


@contextmanager
def _prepared(
    stylizer: Stylizer,
    pictures: Sequence[Path],
    px: int,
    styling: Styling,
    named: Mapping[Path, Named],
    bar: tqdm,
) -> Iterator[None]:
    """Compiles in the background what pictures and styles need, and shows what is compiled."""
    sources = [path for path in styling.paths if path in named or not is_style_file(path)]
    one_at_a_time = pictures and not styling.blended
    begun = stylizer.prepare(
        _sizes(pictures, px, named),
        _sizes(sources, styling.size_px, named) if one_at_a_time else (),
        block_policy=styling.block_policy,
        tell=bar.set_postfix_str,
    )
    try:
        yield
    finally:
        for program in begun:
            program.cancel()


def _sizes(paths: Iterable[Path], px: int, named: Mapping[Path, Named]) -> list[Size]:
    """Returns the sizes to which pictures are resized, of those that can be read."""
    sizes = [
        named[path].layers.rgb.size[::-1] if path in named else upright_size(path) for path in paths
    ]
    return [resized_size(size, px) for size in sizes if size is not None]


@contextmanager
def _noted(target: Path, failures: dict[Path, str]) -> Iterator[list[Path]]:
    """Notes that a result cannot be written, and goes on; but not where nobody reads it.

    Yields:
      What is written at the end: `target`, or nothing.
    """
    written: list[Path] = []
    try:
        yield written
        written.append(target)
    except BrokenPipeError:
        raise
    except UnwritableError as error:
        failures[target] = f"{target} cannot be written: {error}"
    except FileExistsError as error:  # a file where a folder is to be made
        failures[target] = f"{target} cannot be written: {error.filename} is not a folder."
    except OSError as error:
        failures[target] = f"{target} cannot be written: {error.strerror or error}."


def _check_output(
    output: Output,
    pictures: Sequence[Path],
    clips: Sequence[Path],
    styles: int,
    sources: Iterable[Path],
) -> None:
    """Raises a UserError for results that would overwrite each other or what they are made of."""
    where = "the standard output" if output.stream is not None else output.file
    count = (len(pictures) + len(clips)) * styles
    if output.holds_one and count > 1:
        raise UserError(
            f"There is room for one result in {where}, and there would be {count}; give a folder "
            "for the results."
        )
    if clips and (output.nothing or output.stream is not None):
        raise UserError(f"{clips[0]} is a clip, which needs a file or a folder for its result.")
    if output.file is None:
        return
    if pictures:
        check_suffix(output.file.suffix, output.quality)
    for path in sources:
        if output.file.exists() and path.exists() and output.file.samefile(path):
            raise UserError(f"{path} would be overwritten; give the result another name.")


def _encoded(
    stylizer: Stylizer, styling: Styling, named: Mapping[Path, Named], failures: dict[Path, str]
) -> Iterator[tuple[tuple[Path, ...], str, Style]]:
    """Yields the files of each style, its name, and the style."""

    def source(path: Path) -> Style | np.ndarray | None:
        if path not in named and is_style_file(path):
            return stylizer.load_style(path)
        layers = _read(path, styling.size_px, named, failures)
        return None if layers is None else np.asarray(layers.rgb)

    found: Iterator[tuple[tuple[Path, ...], Any]]
    if styling.blended:
        parts = {path: source(path) for path in styling.paths}
        lacking = [path for path, part in parts.items() if part is None]
        if lacking:
            raise UserError(f"A blend needs all of its styles: {failures[lacking[0]]}")
        found = iter([(tuple(parts), list(parts.values()))])
    else:
        found = (((path,), source(path)) for path in styling.paths)
    for paths, given in found:
        if given is None:
            continue
        name = "+".join(_name(path, named) for path in paths)
        if isinstance(given, Style):
            yield paths, name, given
            continue
        style = stylizer.encode_style(given, styling.weights, block_policy=styling.block_policy)
        if styling.save_to is not None:
            target = styling.save_to / f"{short_name(name)}.safetensors"
            with _noted(target, failures):
                style.save(target)
        yield paths, name, style


def _name(path: Path, named: Mapping[Path, Named]) -> str:
    return named[path].name if path in named else path.stem


def _read(
    path: Path, size_px: int, named: Mapping[Path, Named], failures: dict[Path, str]
) -> Layers | None:
    try:
        rgb, alpha = named[path].layers if path in named else read_layers(path)
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
