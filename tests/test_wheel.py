"""The wheel, installed where the checkout cannot be seen: all files, all commands, all configs."""

import os
import shutil
import site
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from stya2k_jax.commands.config_files import NAMES
from tests.support.paths import ROOT
from tests.support.picture_files import noise, saved

pytestmark = pytest.mark.export

# Reads each config in a fork of one process, which need not import everything anew.
READ_CONFIGS = """
import os, sys
from stya2k_jax.commands import train
from stya2k_jax.training import train_encoder, train_painter  # which each fork would import

for name in sys.argv[1:]:
    if not os.fork():
        sys.argv = ["train", f"--config={name}", "--config.task=nothing", "--workdir=run"]
        train.main()
    os.wait()
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("stya2k_jax", "configs"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    pytest.importorskip("setuptools", minversion="77", reason="needs setuptools to build")
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, folder)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """Makes an environment with the wheel, and the packages of this one without its checkout."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, symlinks=True)
    pip("--python", folder, "install", "--no-deps", "--no-index", wheel)
    ours = next(folder.glob("lib/python*/site-packages"))
    # Packages that such a file names are found, but no .pth file beside them is read again.
    (ours / "packages_of_the_tests.pth").write_text("\n".join(site.getsitepackages()))
    return folder / "bin"


def pip(*arguments: object) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    run(*command, *arguments, check=True)


def run(*command: object, cwd: Path = ROOT, check: bool = False) -> subprocess.CompletedProcess:
    environment = {name: x for name, x in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, env=environment, capture_output=True, text=True
    )
    assert not check or done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done


def test_the_wheel_holds_every_file_of_the_package_and_the_configs(wheel):
    with zipfile.ZipFile(wheel) as file:
        inside = {name for name in file.namelist() if ".dist-info/" not in name}
    package = [path for path in (ROOT / "stya2k_jax").rglob("*") if path.is_file()]
    configs = (ROOT / "configs").glob("*.py")
    assert inside == {
        *(str(p.relative_to(ROOT)) for p in package if p.parent.name != "__pycache__"),
        *(f"stya2k_jax/configs/{path.name}" for path in configs),
    }


def test_the_installed_command_paints_and_trains_in_an_empty_folder(installed, tmp_path):
    work = tmp_path / "work"
    work.mkdir()
    where = run(installed / "python", "-c", "import stya2k_jax as s; print(s.__file__)", cwd=work)
    assert Path(where.stdout.strip()).is_relative_to(installed.parent)
    saved(tmp_path / "photo.png", noise(0, 40, 48, 3))
    saved(tmp_path / "painting.png", noise(1, 32, 32, 3))
    painted = run(
        *(installed / "stya2k", "stylize", "--content=../photo.png", "--style=../painting.png"),
        *("--content_size=0", "--style_size=0", "--output=out"),
        cwd=work,
    )
    assert painted.returncode == 0, painted.stderr
    assert [path.name for path in (work / "out").iterdir()] == ["photo_stylized_painting.png"]
    trained = run(
        *(installed / "stya2k", "train", "--config=smoke", "--config.steps=2", "--workdir=run"),
        *("--config.width=0.125", "--config.load_size=40", "--config.crop_size=32"),
        cwd=work,
    )
    assert trained.returncode == 0, trained.stderr
    assert trained.stdout == "Step 2 of 2 is saved in run\n"


def test_every_config_is_found_by_its_name(installed, tmp_path):
    assert {f"configs/{name}.py" for name in NAMES} | {"configs/__init__.py"} == {
        str(path.relative_to(ROOT)) for path in (ROOT / "configs").glob("*.py")
    }
    names = [*NAMES, "a2k_mini:finish", "ablations:adaattn"]
    done = run(installed / "python", "-c", READ_CONFIGS, *names, cwd=tmp_path)
    message = "error: config.task='nothing' does not exist; choose one of painter, encoder."
    assert done.stderr.splitlines() == [message] * len(names)
    unknown = run(installed / "stya2k", "train", "--config=a2l", "--workdir=run", cwd=tmp_path)
    assert unknown.returncode == 2 and not list(tmp_path.iterdir())
    assert unknown.stderr == (
        f"error: there is no config 'a2l': neither a file nor one of {', '.join(NAMES)}.\n"
    )


def test_a_file_wins_over_a_name_and_may_import_the_configs_of_the_package(installed, tmp_path):
    (tmp_path / "smoke").write_text(
        "from configs import a2k\n\n\ndef get_config():\n    config = a2k.get_config()\n"
        "    config.task = 'mine'\n    return config\n"
    )
    done = run(installed / "stya2k", "train", "--config=smoke", "--workdir=run", cwd=tmp_path)
    assert "error: config.task='mine' does not exist" in done.stderr
