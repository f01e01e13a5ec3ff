"""Exported programs compute what the model does, in JAX and in onnxruntime, and say what they are.

Tests of ONNX need the extra `onnx`, and are skipped by name without it.
"""

import hashlib
import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import jax
import jax.export
import numpy as np
import pytest
from flax import nnx

from stya2k_jax import UserError, load
from stya2k_jax.commands.export import parse_size
from stya2k_jax.export.export_model import export_model
from stya2k_jax.export.exported_model import ExportedModel
from stya2k_jax.export.halves import FIXED_SIZES_ONLY, HALVES, size_unit
from stya2k_jax.network import attention
from stya2k_jax.network.architecture import BASELINES, VARIANTS, Architecture
from stya2k_jax.network.convolution import on_cpu, portable_form
from stya2k_jax.network.model import StyA2K
from stya2k_jax.weights.parameters import fingerprint_of_model
from tests.support.small_model import pictures, small_model

pytestmark = pytest.mark.export

CONTENT, STYLE = (50, 75), (70, 33)  # blocks are partial, and sides odd
FIXED = dict(content_size=CONTENT, style_size=STYLE)


@pytest.fixture(scope="module")
def stablehlo(tmp_path_factory):
    """An export whose calls choose the sizes."""
    directory = tmp_path_factory.mktemp("stablehlo") / "new" / "export"
    export_model(small_model()[0], directory)
    return directory


@pytest.fixture(scope="module")
def onnx(tmp_path_factory):
    """The same as ONNX."""
    pytest.importorskip("jax2onnx")
    directory = tmp_path_factory.mktemp("onnx") / "export"
    export_model(small_model()[0], directory, "onnx")
    return directory


@cache
def compiled(model: StyA2K):
    graph, state = nnx.split(model)
    run = jax.jit(lambda state, *pictures: nnx.merge(graph, state)(*pictures))
    return lambda *pictures: np.asarray(run(state, *pictures))


def painted(content, style) -> np.ndarray:
    """What the model itself paints."""
    return compiled(small_model()[0])(content, style)


class OnnxModel:
    """The two programs of an ONNX export, as `ExportedModel` has those of StableHLO."""

    def __init__(self, directory: Path):
        onnxruntime = pytest.importorskip("onnxruntime")
        self.programs = {x: onnxruntime.InferenceSession(directory / f"{x}.onnx") for x in HALVES}

    def style(self, picture):
        names = [output.name for output in self.programs["style"].get_outputs()]
        arrays = self.programs["style"].run(names, {"picture": picture})
        return dict(zip(names, arrays, strict=True))

    def content(self, picture, keys):
        (stylized,) = self.programs["content"].run(["stylized"], {"picture": picture, **keys})
        return stylized


def opened(directory: Path):
    format = json.loads((directory / "manifest.json").read_text())["format"]
    return ExportedModel(directory) if format == "stablehlo" else OnnxModel(directory)


def assert_close(ours, expected, tolerance):
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, expected, rtol=0, atol=tolerance * np.abs(expected).max())


# Float32 in another order of sums; onnxruntime has kernels of its own.
BOTH = pytest.mark.parametrize(("format", "tolerance"), [("stablehlo", 1e-5), ("onnx", 1e-4)])


### What they compute


@BOTH
def test_programs_paint_what_the_model_does_at_the_sizes_and_batches_of_each_call(
    format, tolerance, request
):
    exported = opened(request.getfixturevalue(format))
    for seed, (size, style_size, batch) in enumerate(
        [((64, 128), (128, 64), 1), ((128, 64), (64, 64), 2)]
    ):
        content, style = pictures(seed, size, style_size, batch=batch)
        ours = exported.content(content, exported.style(style))
        assert_close(ours, painted(content, style), tolerance)


@BOTH
def test_a_style_that_was_encoded_once_and_kept_serves_two_contents(
    format, tolerance, request, tmp_path
):
    directory = request.getfixturevalue(format)
    first, second, style = pictures(2, (64, 128), (64, 128), (128, 64))
    np.savez(tmp_path / "style.npz", **opened(directory).style(style))
    keys, exported = dict(np.load(tmp_path / "style.npz")), opened(directory)
    for content in (first, second):
        assert_close(exported.content(content, keys), painted(content, style), tolerance)


@BOTH
def test_fixed_sizes_may_be_any_and_leave_the_batch_free(format, tolerance, tmp_path):
    if format == "onnx":
        pytest.importorskip("jax2onnx")
    export_model(small_model()[0], tmp_path / "fixed", format, **FIXED)
    exported = opened(tmp_path / "fixed")
    for batch in (1, 2):
        content, style = pictures(3, CONTENT, STYLE, batch=batch)
        ours = exported.content(content, exported.style(style))
        assert_close(ours, painted(content, style), tolerance)


@BOTH
def test_large_attention_of_fixed_sizes_is_computed_in_parts(
    format, tolerance, tmp_path, monkeypatch
):
    if format == "onnx":
        pytest.importorskip("jax2onnx")
    content, style = pictures(4, CONTENT, STYLE)
    expected = painted(content, style)
    monkeypatch.setattr(attention, "_WEIGHTS_IN_ONE_PIECE", 2**12)
    monkeypatch.setattr(attention, "_WEIGHTS_PER_PART", 2**11)
    export_model(small_model()[0], tmp_path / "parts", format, **FIXED)
    exported = opened(tmp_path / "parts")
    assert_close(exported.content(content, exported.style(style)), expected, tolerance)


@pytest.mark.parametrize("variant", ["no_pa_step1", "adain"])
def test_ablations_and_baselines_paint_what_they_do_unexported(variant, tmp_path):
    model = StyA2K(Architecture(width=1 / 8, variant=variant), rngs=nnx.Rngs(0))
    export_model(model, tmp_path / "x", **FIXED)
    content, style = pictures(5, CONTENT, STYLE)
    exported = ExportedModel(tmp_path / "x")
    ours = exported.content(content, exported.style(style))
    assert_close(ours, compiled(model)(content, style), 1e-5)


@pytest.mark.parametrize("variant", VARIANTS + BASELINES)
def test_every_variant_is_exported_for_free_sizes_or_says_that_it_needs_fixed_ones(
    variant, tmp_path
):
    model = StyA2K(Architecture(width=1 / 8, variant=variant), rngs=nnx.Rngs(0))
    sizes = {}
    if variant in FIXED_SIZES_ONLY:
        with pytest.raises(UserError, match=f"{variant}.* fixed sizes; give --content_size=HxW"):
            export_model(model, tmp_path / "x", content_size=CONTENT)
        sizes = FIXED
    manifest = export_model(model, tmp_path / "x", **sizes)
    assert manifest["architecture"]["variant"] == variant


def test_programs_for_every_backend_hold_none_of_the_forms_for_the_cpu(stablehlo):
    assert on_cpu()
    with portable_form():
        assert not on_cpu()
    assert on_cpu()
    for half in HALVES:
        program = jax.export.deserialize(bytearray((stablehlo / f"{half}.jax_export").read_bytes()))
        assert set(program.platforms) == {"cpu", "cuda", "rocm", "tpu"}
        assert "optimization_barrier" not in program.mlir_module()


### What they say of themselves


@BOTH
def test_the_manifest_has_the_names_shapes_and_dtypes_of_the_programs(format, tolerance, request):
    directory = request.getfixturevalue(format)
    manifest = json.loads((directory / "manifest.json").read_text())
    assert manifest["format"] == format
    assert {x.name for x in directory.iterdir()} == {
        "manifest.json",
        *(program["file"] for program in manifest["programs"].values()),
    }
    for said in manifest["programs"].values():
        assert said["sha256"] == hashlib.sha256((directory / said["file"]).read_bytes()).hexdigest()
        assert described(directory / said["file"]) == tuple(
            {x["name"]: (tuple(x["shape"]), x["dtype"]) for x in said[side]}
            for side in ("inputs", "outputs")
        )
    style, content = (manifest["programs"][half] for half in HALVES)
    assert style["inputs"][0]["shape"] == ["b", "64*hs", "64*ws", 3]
    assert content["outputs"][0]["shape"] == ["b", "64*h", "64*w", 3]
    assert [x["name"] for x in style["outputs"]] == [x["name"] for x in content["inputs"][1:]]
    assert manifest["dimensions"]["h"] == "height of the contents / 64"


def described(file: Path) -> tuple[dict, dict]:
    """Names, shapes and dtypes of what goes into a program and comes out, read from itself."""
    if file.suffix == ".onnx":
        session = pytest.importorskip("onnxruntime").InferenceSession(file)
        types = {"tensor(float)": "float32", "tensor(int32)": "int32"}
        return tuple(
            {x.name: (tuple(x.shape), types[x.type]) for x in values}
            for values in (session.get_inputs(), session.get_outputs())
        )
    program = jax.export.deserialize(bytearray(file.read_bytes()))
    ((inputs,), _), outputs = (
        jax.tree.unflatten(tree, leaves)
        for tree, leaves in (
            (program.in_tree, program.in_avals),
            (program.out_tree, program.out_avals),
        )
    )
    return tuple(
        {
            name: (tuple(n if isinstance(n, int) else str(n) for n in x.shape), str(x.dtype))
            for name, x in arrays.items()
        }
        for arrays in (inputs, outputs)
    )


@BOTH
def test_the_manifest_tells_which_model_it_is(format, tolerance, request):
    manifest = json.loads((request.getfixturevalue(format) / "manifest.json").read_text())
    model = small_model()[0]
    assert Architecture(**manifest["architecture"]) == model.architecture
    assert manifest["fingerprint"] == fingerprint_of_model(model)
    assert manifest["fingerprint"] != fingerprint_of_model(small_model(8)[0])
    assert manifest["versions"]["jax"] == jax.__version__


@BOTH
def test_the_three_lines_of_the_manifest_run_the_programs(format, tolerance, request, monkeypatch):
    directory = request.getfixturevalue(format)
    photo, painting = pictures(0, (64, 128), (128, 64))
    names = {"photo": photo, "painting": painting}
    monkeypatch.chdir(directory)
    lines = json.loads(Path("manifest.json").read_text())["run"]
    assert len(lines) == 3
    exec("\n".join(lines), names)
    assert_close(names["stylized"], painted(photo, painting), tolerance)


### The command


def command(directory: Path, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "stya2k_jax", "export", *arguments],
        capture_output=True,
        text=True,
        cwd=directory,
    )


def test_the_command_exports_the_small_model_of_the_package(tmp_path):
    done = command(tmp_path, "--output=new/mini", "--style_size=64x96")
    assert done.returncode == 0, done.stderr
    assert "new/mini/style.jax_export: " in done.stdout
    exported = ExportedModel(tmp_path / "new" / "mini")
    content, style = pictures(6, (64, 64), (64, 96))
    ours = exported.content(content, exported.style(style))
    assert_close(ours, compiled(load())(content, style), 1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--output"),
        (["--output=x", "--format=tflite"], "tflite"),
        (["--output=x", "--content_size=512"], "--content_size=512 is no size; give height x"),
        (["--output=x", "--checkpoint=nowhere"], "nowhere does not exist"),
    ],
)
def test_wrong_flags_are_named_in_one_message(arguments, message, tmp_path):
    done = command(tmp_path, *arguments)
    assert done.returncode in (1, 2) and message in done.stderr and "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


### What is refused


def test_sizes_are_height_by_width():
    assert parse_size("512x384", "content_size") == (512, 384)
    assert parse_size("", "content_size") is None
    for text in ("512", "0x64", "-1x64", "64x64x3", "axb", "64 x 64", "٣x٣"):
        with pytest.raises(UserError, match="--style_size=.* is no size"):
            parse_size(text, "style_size")


def test_the_unit_of_sizes_is_a_whole_block_of_every_tap():
    assert size_unit(Architecture()) == 64
    assert size_unit(Architecture(block_sizes=(16, 4, 4, 2))) == 32
    assert size_unit(Architecture(block_sizes=(16, 8, 12, 4))) == 192


def test_a_missing_converter_is_named_with_how_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "jax2onnx", None)
    with pytest.raises(UserError, match=r"needs jax2onnx; .*pip install 'stya2k-jax\[onnx\]'"):
        export_model(small_model()[0], tmp_path / "x", "onnx")
    assert not list(tmp_path.iterdir())


def test_other_formats_are_refused(tmp_path):
    with pytest.raises(UserError, match="format='tflite' does not exist; choose one of stablehlo"):
        export_model(small_model()[0], tmp_path / "x", "tflite")


def test_what_is_there_already_is_left_alone(tmp_path):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("mine")
    for name in ("file", "full"):
        with pytest.raises(UserError, match=f"{name} is there already; choose another output"):
            export_model(small_model()[0], tmp_path / name)
    assert [x.read_text() for x in (tmp_path / "file", tmp_path / "full" / "file")] == ["mine"] * 2


def test_a_model_in_bfloat16_is_refused_with_the_remedy(tmp_path):
    model = StyA2K(Architecture(width=1 / 8, dtype="bfloat16"), rngs=nnx.Rngs(0))
    with pytest.raises(UserError, match='bfloat16.*dtype="float32"'):
        export_model(model, tmp_path / "x")


def test_pictures_and_keys_that_do_not_fit_are_named_with_what_would(stablehlo):
    exported = ExportedModel(stablehlo)
    content, style, odd = pictures(0, (64, 128), (128, 64), (64, 100))
    keys = exported.style(style)
    with pytest.raises(UserError, match=r"picture is float32 \[1, 64, 100, 3\]; .*--style_size"):
        exported.style(odd)
    with pytest.raises(UserError, match=r"expected float32 \[b, 64\*h, 64\*w, 3\]; .*--content_s"):
        exported.content(odd, keys)
    with pytest.raises(UserError, match="picture is uint8"):
        exported.style((style * 255).astype(np.uint8))
    without = {name: x for name, x in keys.items() if name != "relu4_1.distributed.v_hat"}
    with pytest.raises(UserError, match="relu4_1.distributed.v_hat is missing.*encode the style"):
        exported.content(content, without)


def test_what_is_no_whole_export_is_refused(stablehlo, tmp_path):
    with pytest.raises(UserError, match="is no export, or not a whole one"):
        ExportedModel(tmp_path)
    manifest = json.loads((stablehlo / "manifest.json").read_text())
    for name in ("style.jax_export", "content.jax_export"):
        (tmp_path / name).write_bytes((stablehlo / name).read_bytes())
    (tmp_path / "manifest.json").write_text(json.dumps(manifest | {"format": "onnx"}))
    with pytest.raises(UserError, match=r"is an export as onnx; its manifest.json says how to run"):
        ExportedModel(tmp_path)
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    data = bytearray((tmp_path / "content.jax_export").read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "content.jax_export").write_bytes(data)
    with pytest.raises(UserError, match="content.jax_export is damaged; export the model again"):
        ExportedModel(tmp_path)
    (tmp_path / "manifest.json").write_text("[]")
    with pytest.raises(UserError, match="is no export, or not a whole one"):
        ExportedModel(tmp_path)
