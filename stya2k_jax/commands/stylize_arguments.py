"""What the arguments of `stya2k stylize` mean: contents, styles, and where results go."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

from stya2k_jax.commands.command_line import UsageError
from stya2k_jax.errors import UserError
from stya2k_jax.inference.contents import find_contents
from stya2k_jax.inference.results import Output
from stya2k_jax.pictures.named import STDIN, Named, is_named, named_pictures
from stya2k_jax.pictures.opening import PICTURE_SUFFIXES
from stya2k_jax.pictures.reading import find_all
from stya2k_jax.pictures.writing import FORMATS, check_suffix
from stya2k_jax.video.clip_format import CLIP_SUFFIXES

STDOUT = "-"
_EXAMPLE = "stya2k stylize photo.jpg painting.jpg"


class Sources(NamedTuple):
    """Files that were found, and pictures that are no files.

    Attributes:
      contents: pictures and clips.
      styles: pictures and saved styles.
      named: those of both that are no files, by the paths that stand for them.
    """

    contents: list[Path]
    styles: list[Path]
    named: dict[Path, Named]


def contents_and_styles(
    arguments: Sequence[str], contents: Sequence[str] | None, styles: Sequence[str] | None
) -> tuple[list[str], list[str]]:
    """Tells the contents from the styles, as `cp` tells what is copied from where.

    Args:
      arguments: those without a flag. The last one is the style, if neither flag is given; with
        --style all are contents, with --content all are styles.
      contents: of --content.
      styles: of --style.

    Raises:
      UsageError: one of both is missing, or given twice.
    """
    if contents and styles and arguments:
        raise UsageError(
            f"{arguments[0]!r} is neither content nor style: --content and --style name them all."
        )
    if not contents and not styles:
        # One argument alone is a content that lacks its style.
        contents, styles = (
            (arguments[:-1], arguments[-1:]) if len(arguments) > 1 else (arguments, [])
        )
    elif not contents:
        contents = arguments
    elif not styles:
        styles = arguments
    contents, styles = list(contents or ()), list(styles or ())
    if not contents or not styles:
        missing = "style" if contents else "content" if styles else "content and a style"
        raise UsageError(f"give a {missing}, as in: {_EXAMPLE}")
    if STDIN in contents and STDIN in styles:
        raise UsageError("the input (-) is one picture; give it as the content or as the style.")
    return contents, styles


def find_sources(
    contents: Sequence[str],
    styles: Sequence[str],
    *,
    fps: float | None,
    style_size: int,
    folder: Path | None,
    stdin: BinaryIO,
) -> Sources:
    """Finds the files, reads the input and draws what is to be drawn.

    Args:
      contents: files, folders, and names as `pictures.named` knows them.
      styles: the same.
      fps: as `find_contents` takes it.
      style_size: side of drawn pictures; 0: the default.
      folder: of the results, which are no contents.
      stdin: the input.

    Raises:
      UserError: something is not there.
    """
    named: dict[Path, Named] = {}

    def found(text: str, is_content: bool) -> list[Path]:
        if not is_named(text):
            return find_contents([text], fps, folder) if is_content else find_all([text])
        if text == STDIN and Path(STDIN) in named:
            return []  # given twice
        pictures = named_pictures(text, stdin, 0 if is_content else style_size)
        named.update(pictures)
        return list(pictures)

    both = [
        list(dict.fromkeys(path for text in texts for path in found(text, texts is contents)))
        for texts in (contents, styles)
    ]
    return Sources(*both, named)


def output_of(
    text: str | None,
    contents: Sequence[str],
    *,
    form: str | None = None,
    quality: int | None = None,
    sheet: bool = False,
) -> Output:
    """Returns where results go.

    Args:
      text: of --output. A name with the suffix of a picture or clip is the file of one result, `-`
        the standard output, any other a folder. None: the standard output if the content is the
        input; nowhere if there is a sheet; else the current folder.
      contents: as they were given.
      form: of --format.
      quality: of --quality.
      sheet: whether there is a sheet.

    Raises:
      UsageError: a format that cannot be written, or two formats.
    """
    if text is None:
        if sheet:
            return Output(nothing=True)
        text = STDOUT if list(contents) == [STDIN] else os.curdir
    suffix = f".{form or 'png'}"
    if text == STDOUT:
        check_format(suffix, quality)
        if sys.stdout.isatty():
            raise UsageError("the standard output is a terminal; give -o FILE, or pipe it on.")
        return Output(stream=sys.stdout.buffer, suffix=suffix, quality=quality)
    path = Path(text)
    own = path.suffix.lower()
    if text.endswith(os.sep) or path.is_dir() or own not in PICTURE_SUFFIXES + CLIP_SUFFIXES:
        check_format(suffix, quality)
        return Output(path, suffix=suffix, quality=quality)
    if own in PICTURE_SUFFIXES:
        check_format(own, quality)
        if form is not None and FORMATS[own] != FORMATS[suffix]:
            raise UsageError(f"{text} and --format={form} are two formats; leave one out.")
    return Output(path.parent, file=path, quality=quality)


def numbers(flag: str, values: Sequence[str] | None) -> list[float] | None:
    """Returns a list flag's numbers.

    Raises:
      UsageError: one of them is none.
    """
    try:
        return values and [float(value) for value in values]
    except ValueError:
        raise UsageError(f"--{flag}={','.join(values)}: give numbers, as 0.3,0.7.") from None


def check_format(suffix: str, quality: int | None = None) -> None:
    """Raises a UsageError unless pictures can be written with this suffix and this quality."""
    try:
        check_suffix(suffix, quality)
    except UserError as error:
        raise UsageError(str(error)) from error
