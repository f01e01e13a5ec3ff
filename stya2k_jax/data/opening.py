"""Opens a collection of pictures by one string: a folder, record files or a TFDS data set."""

import dataclasses
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from stya2k_jax.data.array_records import open_array_records
from stya2k_jax.data.source import Source
from stya2k_jax.data.tfds import open_tfds
from stya2k_jax.errors import PictureError, UserError
from stya2k_jax.files.digests import digest_of_parts
from stya2k_jax.pictures.reading import find_pictures, read_picture
from stya2k_jax.pictures.synthetic import draw_content, draw_style

DRAWN = "demo:"
FOLDER = "folder:"
ARRAY_RECORDS = "arrayrecord:"
TFDS = "tfds:"

KINDS = {"content": draw_content, "style": draw_style}
DRAWN_PICTURES = 64
DRAWN_PX = 256


@dataclasses.dataclass(frozen=True, repr=False)
class Folder(Source):
    """The picture files below a folder."""

    root: str
    files: tuple[str, ...]  # relative to `root`: half as much to send to workers

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Image.Image:
        return read_picture(self.name(index))

    def __str__(self) -> str:
        return self.root

    def name(self, index: int) -> str:
        return os.path.join(self.root, self.files[index])

    def fingerprint(self) -> str:
        """See `Source`; it changes with the files' names and sizes, not with the folder's path."""
        sizes = (os.path.getsize(self.name(i)) for i in range(len(self)))
        return digest_of_parts(zip(self.files, sizes, strict=True))


@dataclasses.dataclass(frozen=True)
class Drawn(Source):
    """Pictures that the project draws."""

    draw: Callable[[int, int], np.ndarray]

    def __len__(self) -> int:
        return DRAWN_PICTURES

    def __getitem__(self, index: int) -> Image.Image:
        if not 0 <= index < len(self):
            raise IndexError(index)
        return Image.fromarray(self.draw(int(index), DRAWN_PX))

    def __str__(self) -> str:
        return DRAWN

    def name(self, index: int) -> str:
        return f"{DRAWN}{index}"

    def fingerprint(self) -> str:
        return digest_of_parts([DRAWN, self.draw.__name__, DRAWN_PICTURES, DRAWN_PX])


def open_source(name: str, kind: str, field: str = "") -> Source:
    """Opens a collection of pictures.

    Args:
      name: a folder, which is searched recursively, also as `folder:/path`;
        `arrayrecord:/path/*.array_record`, record files that hold picture files, as
        `stya2k prepare` writes them; `tfds:NAME`, a data set that is prepared already, also
        with its version and split, as in `tfds:coco/2014:1.1.0:test`; or `demo:` for pictures that
        the project draws.
      kind: `"content"` or `"style"`, which says what to draw.
      field: the setting that an error names; `config.KIND` by default.

    Raises:
      PictureError: there is no such collection, or it holds no picture; says what to do.
    """
    field = field or f"config.{kind}"
    if not name:
        raise PictureError(
            f"No {kind} pictures are given; set --{field}=FOLDER, or --{field}={DRAWN} for "
            "pictures that the project draws."
        )
    try:
        if name == DRAWN:
            return Drawn(KINDS[kind])
        if name.startswith(ARRAY_RECORDS):
            return open_array_records(name.removeprefix(ARRAY_RECORDS))
        if name.startswith(TFDS):
            return open_tfds(name.removeprefix(TFDS))
        return _open_folder(Path(name.removeprefix(FOLDER)))
    except PictureError as error:
        raise PictureError(f"{field}: {error}") from error


def open_sources(names: Mapping[str, str], batch_size: int) -> list[Source]:
    """Opens contents and styles by their names; errors as `open_source` and `check_enough`."""
    sources = {kind: open_source(names[kind], kind) for kind in KINDS}
    for kind, source in sources.items():
        check_enough(source, kind, batch_size)
    return list(sources.values())


def check_enough(source: Source, kind: str, batch_size: int) -> None:
    """Checks that a collection fills a batch without repeating a picture.

    Raises:
      UserError: there are fewer pictures than a batch takes.
    """
    if len(source) < batch_size:
        raise UserError(
            f"config.{kind}: {source} holds {len(source)} pictures, fewer than the "
            f"{batch_size} of a batch; give more pictures, or set "
            f"--config.batch_size={len(source)} or less."
        )


def _open_folder(path: Path) -> Folder:
    found = find_pictures(path)
    root = path.parent if path.is_file() else path
    return Folder(str(root), tuple(os.path.relpath(file, root) for file in found))
