"""What the documentation shows: its pages, the commands in their blocks, and files to run them on.

Placeholders such as PHOTOS or vgg_normalised.pth are files and folders of a sandbox: tiny pictures
and a narrow model with the weights of the recipe.
"""

import importlib.util
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from stya2k_jax.conversion.pytorch_files import save_state_dict
from stya2k_jax.conversion.vgg import VGG_KEYS
from stya2k_jax.files.json_files import write_json
from stya2k_jax.metrics.lpips import expected_shapes
from stya2k_jax.pictures.synthetic import draw_content
from stya2k_jax.reports.study_page import QUESTIONS
from stya2k_jax.weights.model_files import save_encoder, save_model
from tests.support.paths import ROOT
from tests.support.small_model import small_model

PAGES = (
    "README.md",
    *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")),
    "stya2k_jax/weights/pretrained/README.md",
)
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_VARIABLES = {"i": "0", "variant": "full"}  # of the shell's loops
_NO_COMMANDS = {"for", "done", "wait", "cd", "touch", "echo", "cat"}


class Block(NamedTuple):
    """A fenced block: its page and line, and its language and text."""

    place: str
    language: str
    text: str


def blocks(page: str) -> list[Block]:
    """Returns the fenced blocks of a page, in order."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return [
        Block(f"{page}:{text.count(chr(10), 0, found.start()) + 1}", found[1], found[2])
        for found in _FENCE.finditer(text)
    ]


def prose(page: str) -> str:
    """Returns a page without its blocks."""
    return _FENCE.sub("", (ROOT / page).read_text(encoding="utf-8"))


def commands(script: str) -> Iterator[list[str]]:
    """Yields the commands of a shell script, of the hosts and jobs that it starts, too.

    Loops are passed once; assignments and what only moves about are left out.
    """
    script = script.replace("\\\n", " ").replace("$$", "$")
    script = re.sub(r"(^|\s)#.*$", r"\1", script, flags=re.MULTILINE)
    script = re.sub(r"\$\(\(.*?\)\)", "1", script)
    script = re.sub(r"\$(\w+)", lambda found: _VARIABLES.get(found[1], found[1]), script)
    lexer = shlex.shlex(script, posix=True, punctuation_chars=";&|\n")
    lexer.whitespace, lexer.whitespace_split = " \t", True
    command: list[str] = []
    for token in [*lexer, ";"]:
        if token.strip(";&|\n"):
            command.append(token)
            continue
        yield from _started(_without_redirections(command))
        command = []


def _without_redirections(words: Sequence[str]) -> list[str]:
    """Returns a command without `> FILE` and `< FILE`."""
    pairs = zip(["", *words], words, strict=False)
    return [
        word for before, word in pairs if "<" not in (before, word) and ">" not in (before, word)
    ]


def _started(command: Sequence[str]) -> Iterator[list[str]]:
    words = list(command)
    while words and (words[0] in ("do", "then") or re.match(r"\w+=", words[0])):
        del words[0]
    if not words or words[0] in _NO_COMMANDS or words[0] == "exit":
        return
    remote = [word for word in words if word.startswith("--command=")]
    if words[0] == "gcloud" and remote:
        yield from commands(remote[0].partition("=")[2])
    elif words[0] == "ssh":
        yield from commands(words[-1])
    elif words[0] == "srun":
        yield words[words.index("python") :]
    else:
        yield words


def furnish(folder: Path) -> None:
    """Makes what the documentation's commands are given."""
    names = ["PHOTOS/photo.png", "PAINTINGS/painting.png", "PAINTING/painting.png", "photo.jpg"]
    names += [
        "COCO_TRAIN2014/photo.jpg",
        "painting.jpg",
        "a.png",
        "b.png",
        "PICTURES/photo_stylized_painting.png",
    ]
    names += [f"FRAMES/{i}.png" for i in range(3)] + [f"CLIPS/market/{i}.png" for i in range(3)]
    names += [f"runs/ablations/{name}/photo_stylized_painting.png" for name in ("full", "no_da")]
    for seed, name in enumerate(names):
        _save(folder / name, draw_content(seed, 100)[:72])
    for i, name in enumerate(("left.png", "right.png", "face.png")):
        mask = np.zeros((72, 100), np.uint8)
        mask[:, 25 * i : 25 * i + 50] = 255
        _save(folder / name, mask)
    if importlib.util.find_spec("av"):
        from tests.support import rendered_clips

        rendered_clips.render(folder / "clip.mp4", rendered_clips.pictures(4, (72, 100)))
    _networks(folder)
    keys = {"k0": "ours", "k1": "theirs"}
    votes = [{"answers": dict.fromkeys(QUESTIONS, "k0")}]
    (folder / "VOTES").mkdir()
    write_json(folder / "VOTES" / "votes.json", {"keys": keys, "study": "one", "votes": votes})
    (folder / "configs").symlink_to(ROOT / "configs")


def _save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def _networks(folder: Path) -> None:
    model, weights = small_model()
    save_encoder(folder / "vgg", model.encoder, model.architecture)
    for name in ("stya2k", "runs/a2k", "runs/mine"):
        save_model(folder / name, model)
    vgg = weights["vgg"]
    names = zip(VGG_KEYS["normalised"][1:], VGG_KEYS["torchvision"], strict=True)
    torchvision = {
        f"{theirs}.{part}": vgg[f"{name}.{part}"]
        for name, theirs in names
        for part in ("weight", "bias")
    }
    rng = np.random.default_rng(0)
    lpips = {
        name: rng.uniform(0, 0.1, shape).astype(np.float32)
        for name, shape in expected_shapes("alexnet").items()
    }
    files = {
        "vgg_normalised": vgg,
        "vgg19": torchvision,
        "alexnet": {name: x for name, x in lpips.items() if name.startswith("features")},
        "alex": {name: x for name, x in lpips.items() if name.startswith("lin")},
        "lpips": lpips,
    }
    for name, arrays in files.items():
        save_state_dict(folder / f"{name}.safetensors", arrays)
