"""Which pictures and clips of files and folders are contents."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from stya2k_jax.errors import PictureError
from stya2k_jax.pictures.reading import files_below, find_pictures
from stya2k_jax.video.clip_format import is_clip
from stya2k_jax.video.stylize_clip import PARTIAL


def find_contents(
    paths: Iterable[str], fps: float | None = None, output: Path | None = None
) -> list[Path]:
    """Returns the pictures and clips of files and folders, each once.

    Hidden files and folders are left out, and unfinished clips of ours.

    Args:
      paths: files and folders.
      fps: if given, a folder is itself a clip, of as many frames per second.
      output: the folder of the results, which are no contents if it is inside one of `paths`.

    Raises:
      PictureError: a path does not exist, or a folder holds neither.
    """
    found: list[Path] = []
    results = None if output is None else output.resolve()
    for path in map(Path, paths):
        if path.is_dir() and fps is not None:
            found.append(path)
            continue
        files = files_below(path)[0] if path.is_dir() else []
        below = [file for file in files if is_clip(file) and not file.stem.endswith(PARTIAL)]
        try:
            below = find_pictures(path) + below
        except PictureError:
            if not below:
                raise
        if results is not None and path.resolve() in results.parents:
            below = [
                file
                for file in below
                if results not in (file.parent.resolve(), *file.parent.resolve().parents)
            ]
        found += below
    return list(dict.fromkeys(found))


def subfolder(path: Path, folders: Sequence[Path]) -> Path:
    """Returns the folder of a file below the first of `folders` that it is in."""
    for folder in folders:
        if folder in path.parents:
            return path.parent.relative_to(folder)
    return Path()
