"""The site's folder: whole, small, and with a digest of every file that the page loads."""

import base64
import hashlib
import json
import re

import numpy as np
import pytest

from stya2k_jax.errors import UserError
from stya2k_jax.inference.stylizer import Stylizer
from stya2k_jax.web import runtime
from stya2k_jax.web.write_site import CHECK_PX, check_of, write_site
from tests.support.commands import run_command
from tests.support.paths import ROOT
from tests.support.small_model import small_model

BAR = 8_000_000  # bytes of the site of a2k-mini, without the runtime
exported = pytest.mark.export  # takes most of a minute


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site of a narrow model; the runtime comes from the CDN."""
    pytest.importorskip("jax2onnx")
    folder = tmp_path_factory.mktemp("site") / "new" / "site"
    write_site(small_model()[0], folder)
    return folder


def digest(data: bytes) -> str:
    return "sha384-" + base64.b64encode(hashlib.sha384(data).digest()).decode()


@exported
def test_every_file_that_the_manifest_names_is_there_with_its_digest(site):
    manifest = json.loads((site / "manifest.json").read_text())
    loaded = [manifest["weights"], *manifest["programs"].values()]
    for entry in loaded:
        data = (site / entry["file"]).read_bytes()
        assert (entry["bytes"], entry["integrity"]) == (len(data), digest(data))
    examples = [x["file"] for kind in manifest["examples"].values() for x in kind]
    ours = {"index.html", "app.js", "style.css", "manifest.json", "_headers"}
    expected = ours | {entry["file"] for entry in loaded} | set(examples)
    found = {str(path.relative_to(site)) for path in site.rglob("*") if path.is_file()}
    assert found == expected and len(examples) == 8
    assert manifest["runtime"]["base"] == runtime.CDN and runtime.VERSION in runtime.CDN


@exported
def test_its_programs_share_one_file_of_weights(site):
    onnx = pytest.importorskip("onnx")
    programs = {
        path.stem: onnx.load(path, load_external_data=False) for path in site.glob("*.onnx")
    }
    assert set(programs) == {"style", "content", "content_2", "content_3"}
    manifest = json.loads((site / "manifest.json").read_text())
    for name, program in programs.items():
        assert [x.name for x in program.graph.input] == manifest["programs"][name]["inputs"]
        inside = sum(len(x.raw_data) for x in program.graph.initializer)
        assert inside < 50_000 and not any(node.name for node in program.graph.node)
    places = [
        {x.external_data[1].value for x in program.graph.initializer if x.external_data}
        for program in programs.values()
    ]
    assert all(len(places[0] & other) > 10 for other in places)  # those of the encoder


@exported
def test_blends_on_odd_sides_are_those_of_the_stylizer_whatever_the_padding(site):
    onnxruntime = pytest.importorskip("onnxruntime")
    rng = np.random.default_rng(0)
    photo = rng.random((1, 50, 75, 3), np.float32)
    paintings = [rng.random((1, h, 64, 3), np.float32) for h in (64, 128, 192)]
    shares = [0.5, 0.3, 0.2]
    style = onnxruntime.InferenceSession(site / "style.onnx")
    content = onnxruntime.InferenceSession(site / "content_3.onnx")
    names = [output.name for output in style.get_outputs()]
    padded = np.pad(photo, ((0, 0), (0, 14), (0, 53), (0, 0)), constant_values=7)
    size = np.array(photo.shape[1:3], np.int32)
    inputs = {"picture": padded, "size": size, "shares": np.array(shares, np.float32)}
    for i, painting in enumerate(paintings):
        arrays = style.run(names, {"picture": painting})
        inputs |= {f"{i}.{name}": array for name, array in zip(names, arrays, strict=True)}
    wanted = {x.name for x in content.get_inputs()}
    (ours,) = content.run(None, {name: x for name, x in inputs.items() if name in wanted})
    stylizer = Stylizer(small_model()[0])
    blend = stylizer.encode_style([x[0] for x in paintings], weights=shares)
    ours = np.clip(ours[:, :50, :75], 0, 1)
    np.testing.assert_allclose(ours, stylizer(photo, blend), atol=2e-4)


@exported
def test_the_site_of_a2k_mini_is_small_and_the_command_says_how_to_serve_it(tmp_path):
    pytest.importorskip("jax2onnx")
    done = run_command("-m", "stya2k_jax", "export", "--format=web", "--output=site", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "python -m http.server --directory site" in done.stdout
    size = sum(path.stat().st_size for path in (tmp_path / "site").rglob("*") if path.is_file())
    assert size <= BAR
    again = run_command("-m", "stya2k_jax", "export", "--format=web", "--output=site", cwd=tmp_path)
    assert again.returncode == 1 and "site is there already" in again.stderr


@pytest.mark.parametrize(
    ("flags", "message", "code"),
    [
        (["--format=onnx", "--runtime=package"], "--runtime is only for --format=web", 2),
        (["--format=web", "--style_size=64x64"], "leave --content_size and --style_size out", 2),
        (["--format=web", "--runtime=nowhere"], "there is no ort.wasm.min.mjs", 1),
    ],
)
def test_wrong_flags_are_named_and_nothing_is_written(flags, message, code, tmp_path):
    done = run_command("-m", "stya2k_jax", "export", "--output=site", *flags, cwd=tmp_path)
    assert done.returncode == code and message in done.stderr and "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_files_of_another_version_of_the_runtime_are_refused(tmp_path):
    (tmp_path / "dist").mkdir()
    for name in (name for files in runtime.FILES.values() for name in files):
        (tmp_path / "dist" / name).write_bytes(b"other")
    (tmp_path / "package.json").write_text(json.dumps({"version": "1.0.0"}))
    with pytest.raises(UserError, match=r"is not that of .* but of 1\.0\.0; get it with: npm pack"):
        runtime.read_runtime(tmp_path)


def test_the_makefile_fetches_the_pinned_version():
    found = re.search(r"^RUNTIME_VERSION := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert found and found[1] == runtime.VERSION


def test_the_check_is_what_the_model_paints():
    model = small_model()[0]
    check = check_of(model)
    # As the page computes it, in double precision.
    y, x, c = np.mgrid[:CHECK_PX, :CHECK_PX, :3].astype(np.float64)
    picture = (0.5 + 0.5 * np.sin(0.37 * x + 0.23 * y * (c + 1) + c))[None].astype(np.float32)
    expected = np.asarray(Stylizer(model)(picture, picture))[0, :: check["step"], :: check["step"]]
    values = np.array(check["values"]).reshape(expected.shape)
    assert np.abs(values - np.clip(expected, 0, 1) * 255).max() <= 1
