"""Every command and all Python of README and docs runs, or is checked for a reason named here."""

import importlib.util
import re
import runpy
import shutil
import subprocess
import tomllib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from stya2k_jax.commands import COMMANDS
from tests.support.commands import run_command
from tests.support.documentation import PAGES, blocks, commands, furnish, prose
from tests.support.paths import ROOT

RUN, SLOW, CHECKED = "run", "run by `make outside`", "flags and config fields are parsed"
SCRIPTS = {"stylize", "train", "evaluate", "convert_vgg"}
TOOLS = {"pip", "pytest", "mypy", "ruff", "rm", "venv"}  # what `make` starts besides
OTHERS = {"http.server", "mkdir", "npm", "tar"}  # of the site
ALWAYS_KNOWN = {"config", "file_format", "help", "no-deps", "version"}  # of train, TFDS, all, pip


class Rule(NamedTuple):
    """What is done with the commands that a pattern matches.

    Attributes:
      pattern: a regular expression; the first rule that fits counts.
      treatment: RUN, SLOW or CHECKED.
      flags: that make it short; where the documentation gives one of them, its own counts.
      modules: without which it is only checked.
    """

    pattern: str
    treatment: str
    flags: Sequence[str] = ()
    modules: Sequence[str] = ()


SMALL_PICTURES = ("--content_size=64", "--style_size=64")
SMALL_JUDGEMENT = ("--size=32", "--timing_runs=0")
SHORT_RUN = [
    f"--config.{field}={value}"
    for field, value in dict(steps=1, batch_size=1, crop_size=32, load_size=40, workers=0).items()
]
RULES = [
    Rule(r"convert.*--verify", CHECKED),  # the authors' files
    Rule(r"convert.*--export_pytorch", RUN, modules=["torch"]),
    Rule(r"pack.*runs/mini", CHECKED),  # what such a training has left
    Rule(r"pack", SLOW),
    Rule(r"convert|study", RUN),
    Rule(r"train.*--config=\S*(smoke|fine_tune)(?!.*--coordinator)", SLOW, SHORT_RUN),
    Rule(r"train", CHECKED),  # a data set, VGG-19 and a GPU, or days; or several hosts
    Rule(r"prepare", RUN, ["--workers=0"]),
    Rule(r"demo", CHECKED),  # serves until Ctrl-C: tests/demo/test_page.py
    Rule(r"showcase", SLOW, ["--size=32"]),
    Rule(r"export.*--format=web", CHECKED),  # a minute, or two packages: tests/web, test_site.py
    Rule(r"export.*--format=onnx", SLOW, modules=["jax2onnx", "onnxruntime"]),
    Rule(r"export", SLOW),
    Rule(r"stylize -( |$)", CHECKED),  # pipes: tests/commands/test_stylize.py
    Rule(r"styles|info", RUN),
    Rule(r"webcam", CHECKED),  # serves until Ctrl-C: tests/long/test_webcam.py
    Rule(r"warm", CHECKED),  # a minute: tests/inference/test_warming.py
    Rule(r"stylize.*(clip\.mp4|FRAMES)", RUN, SMALL_PICTURES, modules=["av", "cv2"]),
    Rule(r"stylize.*--checkpoint|stylize.*--(mask|style_int|save_att)", SLOW, SMALL_PICTURES),
    Rule(r"stylize", RUN, SMALL_PICTURES),
    Rule(r"evaluate.*--table=3", SLOW, modules=["cv2"]),
    Rule(
        r"evaluate.*--(lpips|checkpoint|published|study)",
        SLOW,
        SMALL_JUDGEMENT,
        modules=["skimage"],
    ),
    Rule(r"evaluate", RUN, SMALL_JUDGEMENT, modules=["skimage"]),
]
SLOW_PAGES = ["README.md"] + [
    f"docs/{name}.md" for name in ("evaluating", "exporting", "results", "stylizing", "training")
]
SLOW_PYTHON = {"docs/exporting.md": "onnxruntime", "docs/stylizing.md": "PIL"}  # what it imports


@pytest.fixture(scope="module")
def furnished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("furnished") / "sandbox"
    folder.mkdir()
    furnish(folder)
    return folder


@pytest.fixture
def sandbox(furnished, tmp_path):
    """A folder of its own for each page, whose commands build on each other."""
    folder = tmp_path / "sandbox"
    shutil.copytree(furnished, folder, symlinks=True)
    return folder


@pytest.mark.export
@pytest.mark.parametrize("page", PAGES)
def test_its_commands_and_its_python_work(page, sandbox):
    follow(page, sandbox, RUN)


@pytest.mark.export
@pytest.mark.parametrize("page", SLOW_PAGES)
def test_its_slow_commands_work_too(page, sandbox):
    follow(page, sandbox, SLOW)


def follow(page: str, sandbox: Path, treatment: str) -> None:
    """Runs what a page shows, the slow commands if asked for, and checks the rest."""
    script = []
    for block in blocks(page):
        if block.language == "sh":
            for command in commands(block.text):
                check(command, sandbox, treatment, block.place)
        elif block.language == "python":
            compile(block.text, block.place, "exec")
            script.append(block.text)
        else:
            assert block.language in ("text", "mermaid"), f"{block.place}: a block of no language"
    if script and (treatment == SLOW or page not in SLOW_PYTHON):
        if page in SLOW_PYTHON:
            pytest.importorskip(SLOW_PYTHON[page])
        done = run_command("-c", "\n".join(script), cwd=sandbox)
        assert done.returncode == 0, f"{page}: {done.stderr}"


def check(command: list[str], sandbox: Path, treatment: str, place: str) -> None:
    """Runs or checks one command, and those that `make` would start."""
    head, *rest = command
    if Path(head).name in ("python", "python3"):
        head, rest = rest[0], rest[1:]
        if head == "-m":
            head, rest = rest[0], rest[1:]
            if head.startswith("benchmarks."):
                check_benchmark(head, rest)
                return
            if head == "stya2k_jax":
                head = "stya2k"
    if head == "pip":
        check_pip(rest)
        return
    if head == "docker":
        check_docker(rest, place)
        return
    if head == "make":
        for started in commands(dry_run(rest)):
            check(started, sandbox, treatment, place)
        return
    if Path(head).name in TOOLS | OTHERS:
        return
    if head == "stya2k":
        head, rest = rest[0], rest[1:]
        assert head in COMMANDS, f"{place}: stya2k {head}"
        program = ["-m", "stya2k_jax", head]
    else:
        assert head.removesuffix(".py") in SCRIPTS, f"{place}: no rule for {' '.join(command)}"
        head, program = head.removesuffix(".py"), [str(ROOT / head)]
    # PyTorch, which reads .pth, is not installed everywhere.
    rest = [re.sub(r"\.pth$", ".safetensors", word) for word in rest]
    obey(program, head, rest, sandbox, treatment, place)


def obey(
    program: list[str], name: str, flags: list[str], sandbox: Path, treatment: str, place: str
) -> None:
    line = " ".join([name, *flags])
    rule = next(rule for rule in RULES if re.match(rule.pattern, line))
    assert rule.treatment != SLOW or place.partition(":")[0] in SLOW_PAGES, place
    if rule.treatment in (RUN, treatment) and all(map(importlib.util.find_spec, rule.modules)):
        given = {flag.partition("=")[0] for flag in flags}
        flags = flags + [x for x in rule.flags if is_field(x) or x.partition("=")[0] not in given]
        if name == "train":
            make_way(sandbox, flags)
    elif treatment == SLOW:
        return  # `make test` has checked it
    else:
        flags = [*flags, "--only_check_args"]  # absl: parse all, refuse what is unknown, and end
    done = run_command(*program, *flags, cwd=sandbox)
    assert done.returncode == 0, f"{place}: {line}\n{done.stdout}\n{done.stderr}"


def make_way(sandbox: Path, flags: list[str]) -> None:
    """Removes the model that stands in for a run until the run is trained."""
    [workdir] = [flag.partition("=")[2] for flag in flags if flag.startswith("--workdir=")]
    if not (sandbox / workdir / "config.json").exists():
        shutil.rmtree(sandbox / workdir, ignore_errors=True)


def is_field(flag: str) -> bool:
    return flag.startswith("--config.")


def dry_run(arguments: Sequence[str]) -> str:
    """Returns what `make` would run; a target or file that is missing fails."""
    done = subprocess.run(
        ["make", "--dry-run", "--always-make", "--no-print-directory", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    makefile = (ROOT / "Makefile").read_text()
    for argument in arguments:
        name, equals, _ = argument.partition("=")
        assert not equals or f"$({name})" in makefile, f"the Makefile does not use {name}"
    return done.stdout


def check_pip(arguments: Sequence[str]) -> None:
    """Checks that extras exist, and that what is installed by itself is what `make` installs."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for word in arguments[1:]:
        if word.startswith("-"):
            continue
        found = re.fullmatch(r"\.(?:\[([\w,]+)\])?", word)
        if not found:
            assert re.split(r"[=<>]", word)[0] in (ROOT / "Makefile").read_text(), word
        elif found[1]:
            extras = set(found[1].split(","))
            assert extras <= set(project["optional-dependencies"]), word


def check_docker(arguments: Sequence[str], place: str) -> None:
    """Checks what a container is asked to run; tests/release/test_dockerfile.py knows the image."""
    action, *rest = arguments
    assert action in ("build", "run"), place
    command = rest[rest.index("stya2k") + 1 :] if action == "run" else []
    if command:
        done = run_command("-m", "stya2k_jax", *command, "--only_check_args")
        assert done.returncode == 0, f"{place}: {done.stderr}"


def check_benchmark(module: str, flags: Sequence[str]) -> None:
    """Checks a benchmark's flags by its source, because most of them import PyTorch."""
    source = ROOT.joinpath(*module.split(".")).with_suffix(".py").read_text()
    for flag in flags:
        name = flag.partition("=")[0].removeprefix("--")
        known = re.findall(r'DEFINE_\w+\(\s*"(\w+)"', source)
        assert name in known or name.removeprefix("no") in known, f"{module} has no {flag}"


def code_spans(page: str) -> list[str]:
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose(page))]


@cache
def known_flags() -> set[str]:
    """Returns the flags of all commands and benchmarks."""
    helps = [run_command("-m", "stya2k_jax", name, "--help").stdout for name in COMMANDS]
    found = re.findall(r"^\s+(?:-\w,)?--(?:\[no\])?(\w+):", "\n".join(helps), re.MULTILINE)
    for path in (ROOT / "benchmarks").glob("*.py"):
        found += re.findall(r'DEFINE_\w+\(\s*"(\w+)"', path.read_text())
    return ALWAYS_KNOWN.union(found)


@pytest.mark.parametrize("page", PAGES)
def test_flags_fields_targets_and_benchmarks_in_its_sentences_exist(page):
    fields = runpy.run_path(str(ROOT / "configs/a2k.py"))["get_config"]().keys()
    for span in code_spans(page):
        for field in re.findall(r"\bconfig\.([a-z]\w*)", span):
            assert field in fields, span
        for flag in re.findall(r"--(\w[\w-]*)", span):
            assert {flag, flag.removeprefix("no")} & known_flags(), span
        started = re.match(r"(?:python -m (?=benchmarks\.)|make |stya2k )(.*)", span)
        if started and span.startswith("python"):
            check_benchmark(*(lambda head, *rest: (head, rest))(*started[1].split()))
        elif started and span.startswith("make "):
            dry_run([word for word in started[1].split() if "…" not in word])
        elif started and started[1] != "COMMAND":
            assert started[1].split()[0] in (*COMMANDS, "COMMAND"), span


def anchors(page: Path) -> set[str]:
    """Returns the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", x.lower()).replace(" ", "-") for x in headings}


@pytest.mark.parametrize("page", [*PAGES, "CHANGELOG.md"])
def test_its_links_and_pictures_lead_somewhere(page):
    text = prose(page)
    links = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'src="([^"]+)"', text)
    for link in links:
        if link.startswith("http"):
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        assert target.exists(), f"{page}: {link}"
        assert not anchor or anchor in anchors(target), f"{page}: {link}"


def test_every_picture_of_the_docs_is_shown():
    shown = "".join(map(prose, PAGES))
    pictures = [p.name for p in (ROOT / "docs").iterdir() if p.suffix not in (".md", "")]
    assert pictures and all(name in shown for name in pictures)


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


def test_the_architecture_page_lists_the_folders_and_names_files_that_exist():
    text = prose("docs/architecture.md")
    listed = re.findall(r"^\| `(\w+)/` \|", text, re.MULTILINE)
    folders = [path.parent.name for path in (ROOT / "stya2k_jax").glob("*/__init__.py")]
    assert sorted(listed) == sorted(folders)
    for name in re.findall(r"`(\w+/\w+\.py)`", text):
        assert (ROOT / "stya2k_jax" / name).is_file() or (ROOT / name).is_file(), name
