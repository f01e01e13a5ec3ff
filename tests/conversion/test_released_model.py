"""PyTorch weights to ours and back: bit by bit, complete or refused."""

import dataclasses
import hashlib
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

import stya2k_jax
from stya2k_jax.conversion import released_model
from stya2k_jax.conversion.pytorch_files import read_state_dict, save_state_dict
from stya2k_jax.conversion.released_model import (
    RELEASED_FILES,
    git_blob_id,
    model_from_release,
    release_from_model,
)
from stya2k_jax.conversion.vgg import encoder_from_vgg
from stya2k_jax.errors import UserError, WeightsError
from stya2k_jax.network.architecture import VARIANTS, Architecture
from stya2k_jax.network.model import StyA2K, new_encoder, new_painter
from stya2k_jax.weights.model_files import load_encoder
from stya2k_jax.weights.parameters import named_arrays
from tests.support.commands import run_command
from tests.support.paths import ROOT, reference_path
from tests.support.reference_weights import needs_reference, recipe_weights
from tests.support.small_model import WIDTH, small_model

BEYOND = ("45.", "48.", "51.")  # convolutions behind conv5_1

each_format = pytest.mark.parametrize(
    "suffix", [".safetensors", pytest.param(".pth", marks=pytest.mark.parity)]
)


@pytest.fixture(autouse=True)
def torch_where_needed(request):
    """Skips what is marked as parity where PyTorch is not installed."""
    if request.node.get_closest_marker("parity"):
        pytest.importorskip("torch")


def assert_same_bits(got, expected):
    """Compares named float32 arrays to the last bit, -0 and 0 being different."""
    assert set(got) == set(expected)
    for name, array in expected.items():
        assert got[name].dtype == array.dtype == np.float32, name
        assert got[name].shape == array.shape, name
        assert got[name].tobytes() == array.tobytes(), name


def up_to_conv5_1(vgg):
    return {key: array for key, array in vgg.items() if not key.startswith(BEYOND)}


# ---------------------------------------------------------------- there and back


@each_format
def test_the_released_modules_come_back_from_the_model_bit_by_bit(suffix, tmp_path):
    model, weights = small_model()
    exported = release_from_model(model)
    assert set(exported) == {"A2K", "transform", "decoder"}
    for module, state_dict in exported.items():
        assert_same_bits(state_dict, weights[module])
        save_state_dict(tmp_path / f"{module}{suffix}", state_dict)
    modules = {module: read_state_dict(tmp_path / f"{module}{suffix}") for module in exported}
    back = model_from_release(model.encoder, model.architecture, modules)
    assert_same_bits(named_arrays(back), named_arrays(model))


def test_kernels_are_pytorchs_with_the_axes_in_another_order():
    model, weights = small_model()
    ours, theirs = model.encoder.convs["conv3_1"].kernel[...], weights["vgg"]["16.weight"]
    for row, column in np.ndindex(3, 3):
        np.testing.assert_array_equal(ours[row, column], theirs[:, :, row, column].T)
    ours = model.painter.a2k["relu4_1"].paths["progressive"].key.kernel[...]
    theirs = weights["transform"]["attn_adain_4_1.k2.weight"]
    np.testing.assert_array_equal(ours, theirs[:, :, 0, 0].T)


def test_what_lies_beyond_conv5_1_may_be_there_or_not():
    vgg = small_model()[1]["vgg"]
    assert len(vgg) - len(up_to_conv5_1(vgg)) == 6
    whole, part = encoder_from_vgg(vgg)[0], encoder_from_vgg(up_to_conv5_1(vgg))[0]
    assert_same_bits(named_arrays(whole), named_arrays(part))


@pytest.mark.parametrize("width", [1 / 8, 1 / 4, 3 / 8])
def test_the_width_is_read_off_the_file(width):
    encoder, architecture = encoder_from_vgg(recipe_weights(width=width)["vgg"])
    assert architecture == Architecture(width=width)
    assert encoder.convs["conv5_1"].bias.shape == (512 * width,)


@needs_reference
def test_the_real_encoder_of_16_bit_kernels_is_converted_without_loss():
    path = reference_path("weights", "vgg_normalised.safetensors")
    state_dict = read_state_dict(path)
    encoder, architecture = encoder_from_vgg(state_dict)
    assert architecture == Architecture()
    kernel = state_dict["42.weight"]
    np.testing.assert_array_equal(kernel, kernel.astype(np.float16))
    np.testing.assert_array_equal(
        encoder.convs["conv5_1"].kernel[...], kernel.transpose(2, 3, 1, 0)
    )


# ---------------------------------------------------------------- files


def test_the_suffix_may_be_in_capital_letters(tmp_path):
    weights = {"0.weight": np.arange(6, dtype=np.float32).reshape(2, 3)}
    save_file(weights, tmp_path / "X.SAFETENSORS")
    assert_same_bits(read_state_dict(tmp_path / "X.SAFETENSORS"), weights)


@each_format
def test_the_prefix_of_dataparallel_is_taken_off(suffix, tmp_path):
    weights = small_model()[1]["A2K"]
    prefixed = {f"module.{key}": array for key, array in weights.items()}
    save_state_dict(tmp_path / f"file{suffix}", prefixed)
    assert_same_bits(read_state_dict(tmp_path / f"file{suffix}"), weights)


@each_format
def test_16_bit_files_are_read_as_float32(suffix, tmp_path):
    halves = {key: array.astype(np.float16) for key, array in small_model()[1]["A2K"].items()}
    save_state_dict(tmp_path / f"file{suffix}", halves)
    expected = {key: array.astype(np.float32) for key, array in halves.items()}
    assert_same_bits(read_state_dict(tmp_path / f"file{suffix}"), expected)


@pytest.mark.parity
@pytest.mark.parametrize("is_zip", [False, True])
def test_both_layouts_of_pth_files_are_read(is_zip, tmp_path):
    import torch

    weights = small_model()[1]["decoder"]
    tensors = {key: torch.from_numpy(array) for key, array in weights.items()}
    torch.save(tensors, tmp_path / "file.pth", _use_new_zipfile_serialization=is_zip)
    assert (tmp_path / "file.pth").read_bytes().startswith(b"PK") == is_zip
    assert_same_bits(read_state_dict(tmp_path / "file.pth"), weights)


@needs_reference
@pytest.mark.parity
def test_the_authors_own_file_is_read():
    path = reference_path("golden", "official", RELEASED_FILES["A2K"][0])
    expected = {key: array.shape for key, array in recipe_weights()["A2K"].items()}
    assert {key: array.shape for key, array in read_state_dict(path).items()} == expected


@pytest.mark.parametrize(
    "content",
    [b"", b"hello\n", b"\x02\x00\x00\x00\x00\x00\x00\x00[]", bytes(range(256)), b"PK\x03\x04"],
    ids=["empty", "text", "no header", "bytes", "zip"],
)
@each_format
def test_a_file_of_something_else_is_refused_by_its_path(suffix, content, tmp_path):
    path = tmp_path / f"file{suffix}"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=f"{path} (is not a PyTorch|cannot be read as safe)"):
        read_state_dict(path)


@each_format
def test_a_file_that_is_not_there_is_refused_by_its_path(suffix, tmp_path):
    for path in (tmp_path / f"missing{suffix}", tmp_path):
        with pytest.raises(WeightsError, match=f"{path} does not exist or is not a file"):
            read_state_dict(path)


@pytest.mark.parity
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ([1, 2], "it holds a list, not a dict of tensors"),
        ({"state_dict": {}}, "its entry 'state_dict' is a dict rather than a named tensor"),
        ({"epoch": 3}, "its entry 'epoch' is a int rather than a named tensor"),
        ({3: "tensor"}, "its entry 3 is a Tensor rather than a named tensor"),
    ],
)
def test_a_pth_file_of_something_else_is_refused_with_the_reason(content, reason, tmp_path):
    import torch

    if 3 in content:
        content = {3: torch.zeros(2)}
    torch.save(content, tmp_path / "file.pth")
    with pytest.raises(WeightsError, match=reason):
        read_state_dict(tmp_path / "file.pth")


class Intruder:
    """Unpickles by making a file."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parity
@pytest.mark.parametrize("writer", ["pickle", "legacy", "zip"])
def test_code_in_a_pth_file_is_not_run(writer, tmp_path):
    import torch

    path, trace = tmp_path / "file.pth", tmp_path / "trace"
    content = {"q.weight": Intruder(trace)}
    if writer == "pickle":
        path.write_bytes(pickle.dumps(content, protocol=2))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=writer == "zip")
    with pytest.raises(WeightsError, match="damaged or holds more than tensors; nothing in it"):
        read_state_dict(path)
    assert not trace.exists()


@pytest.mark.parity
@pytest.mark.parametrize("is_zip", [False, True])
def test_a_damaged_pth_file_is_refused_or_read_but_never_a_crash(is_zip, tmp_path):
    import torch

    path = tmp_path / "file.pth"
    tensors = {"a": torch.zeros(300)}
    torch.save(tensors, path, _use_new_zipfile_serialization=is_zip)
    whole, refused = path.read_bytes(), 0
    for seed in range(60):
        rng, damaged = np.random.default_rng(seed), bytearray(whole)
        for place in rng.integers(0, 500, size=3):
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged if seed % 4 else whole[: rng.integers(len(whole))])
        try:
            read_state_dict(path)
        except WeightsError:
            refused += 1
    assert refused > 20


def test_without_pytorch_a_pth_file_asks_for_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)  # what `import torch` finds where it is not
    (tmp_path / "file.pth").touch()
    for use in (read_state_dict, lambda path: save_state_dict(path, {})):
        with pytest.raises(UserError, match=r"pip install 'stya2k-jax\[torch\]'"):
            use(tmp_path / "file.pth")


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "file.safetensors"
    save_state_dict(path, {"a": np.zeros(3, np.float32)})
    before = path.read_bytes()
    with pytest.raises(Exception, match="(?i)object"):
        save_state_dict(path, {"a": np.array([object()])})
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


# ---------------------------------------------------------------- what does not fit


def spoiled(state_dict, missing: str, misshaped: str, nan: str, infinite: str):
    """Returns the dict with an error of each kind, and one key too many."""
    state_dict = {key: array.copy() for key, array in state_dict.items() if key != missing}
    state_dict["surplus.weight"] = np.zeros(3, np.float32)
    state_dict[misshaped] = state_dict[misshaped][1:]
    state_dict[nan].flat[0] = np.nan
    state_dict[infinite].flat[-1] = -np.inf
    return state_dict


def test_everything_that_does_not_fit_the_encoder_is_named_in_one_message():
    vgg = small_model()[1]["vgg"]
    state_dict = spoiled(vgg, "9.bias", "16.weight", "0.weight", "42.bias")
    with pytest.raises(WeightsError) as caught:
        encoder_from_vgg(state_dict, origin="my.pth")
    assert str(caught.value).splitlines() == [
        "my.pth does not fit:",
        "  missing: 9.bias (16,)",
        "  unexpected: surplus.weight",
        "  not finite: 0.weight holds NaN or infinity",
        "  shape of 16.weight: (31, 16, 3, 3), expected (32, 16, 3, 3)",
        "  not finite: 42.bias holds NaN or infinity",
    ]


def test_everything_that_does_not_fit_the_three_files_is_named_in_one_message():
    model, weights = small_model()
    modules = {
        "A2K": spoiled(weights["A2K"], "sim_alpha", "q.bias", "k.bias", "v2.weight"),
        "decoder": weights["decoder"],
        "transform": spoiled(
            weights["transform"],
            "merge_conv.weight",
            "attn_adain_4_1.k2.bias",
            "attn_adain_5_1.fusion1.weight",
            "attn_adain_5_1.sim_beta",
        ),
    }
    with pytest.raises(WeightsError) as caught:
        model_from_release(model.encoder, model.architecture, modules)
    assert str(caught.value).splitlines() == [
        "latest_net_A2K.pth does not fit:",
        "  missing: sim_alpha (1,)",
        "  unexpected: surplus.weight",
        "  shape of q.bias: (31,), expected (32,)",
        "  not finite: k.bias holds NaN or infinity",
        "  not finite: v2.weight holds NaN or infinity",
        "latest_net_transform.pth does not fit:",
        "  missing: merge_conv.weight (64, 64, 3, 3)",
        "  unexpected: surplus.weight",
        "  shape of attn_adain_4_1.k2.bias: (63,), expected (64,)",
        "  not finite: attn_adain_5_1.sim_beta holds NaN or infinity",
        "  not finite: attn_adain_5_1.fusion1.weight holds NaN or infinity",
    ]


def test_a_module_that_is_not_given_is_missing_key_by_key():
    model, weights = small_model()
    with pytest.raises(WeightsError, match="latest_net_decoder.pth does not fit") as caught:
        model_from_release(
            model.encoder, model.architecture, {m: weights[m] for m in ("A2K", "transform")}
        )
    for key in weights["decoder"]:
        assert f"missing: {key} " in str(caught.value)


def test_weights_of_another_width_do_not_fit_the_encoder():
    model, _ = small_model()
    weights = recipe_weights(width=2 * WIDTH)
    with pytest.raises(WeightsError, match=r"shape of q.weight: \(64, 64, 1, 1\), expected \(32"):
        model_from_release(model.encoder, model.architecture, weights)


@pytest.mark.parametrize("channels", [0, 7])
def test_an_encoder_of_an_impossible_width_is_refused(channels):
    vgg = small_model()[1]["vgg"] | {"2.weight": np.zeros((channels, 3, 3, 3), np.float32)}
    with pytest.raises(WeightsError, match="my.pth is not a VGG-19 of any width"):
        encoder_from_vgg(vgg, origin="my.pth")


def test_a_dict_without_any_known_key_is_refused():
    with pytest.raises(WeightsError, match="unexpected: conv1.weight"):
        encoder_from_vgg({"conv1.weight": np.zeros((64, 3, 3, 3), np.float32)})


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        *((dict(variant=v), f"variant='{v}' instead of 'full'") for v in VARIANTS[1:]),
        (dict(heads=4), "heads=4 instead of 8"),
        (dict(pooling="avg"), "pooling='avg' instead of 'max'"),
        (dict(block_sizes=(16, 4, 8, 4)), r"block_sizes=\[16, 4, 8, 4\] instead of \[16, 8, 8, 4"),
    ],
)
def test_what_the_released_code_would_paint_otherwise_is_not_exported(changes, reason):
    model = model_of(Architecture(width=WIDTH, **changes))
    with pytest.raises(WeightsError, match=reason):
        release_from_model(model)


def test_what_only_the_loss_and_the_computation_see_does_not_hinder_the_export():
    architecture = Architecture(width=WIDTH, block_sizes=(4, 8, 8, 4), dtype="bfloat16")
    assert set(release_from_model(model_of(architecture))) == set(RELEASED_FILES)


@pytest.mark.parametrize("variant", ["all_to_all", "no_da", "no_pa"])
def test_the_released_weights_do_not_fit_an_ablation_with_fewer_convolutions(variant):
    model, weights = small_model()
    architecture = dataclasses.replace(model.architecture, variant=variant)
    with pytest.raises(WeightsError, match=f"variant='{variant}' has other parameters"):
        model_from_release(model.encoder, architecture, weights)


def model_of(architecture: Architecture) -> StyA2K:
    from stya2k_jax.network.model import assemble

    return assemble(architecture, new_encoder(architecture, 0), new_painter(architecture, 0))


# ---------------------------------------------------------------- git blob ids


@pytest.mark.parametrize(
    ("content", "blob_id"),  # as `git hash-object` prints them
    [
        (b"", "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"),
        (b"hello\n", "ce013625030ba8dba906f756967f9e9ca394464a"),
    ],
)
def test_a_blob_id_is_gits(content, blob_id, tmp_path):
    (tmp_path / "file").write_bytes(content)
    assert git_blob_id(tmp_path / "file") == blob_id


@needs_reference
def test_the_authors_file_has_the_blob_id_that_is_known_of_it():
    name, blob_id = RELEASED_FILES["A2K"]
    assert git_blob_id(reference_path("golden", "official", name)) == blob_id


def test_verifying_names_every_file_that_is_not_the_authors(tmp_path, monkeypatch):
    names = dict(A2K="a.pth", transform="t.pth", decoder="d.pth")
    for name in ("a.pth", "t.pth"):
        (tmp_path / name).write_text(name)
    ids = {m: hashlib.sha1(f"blob 5\0{name}".encode()).hexdigest() for m, name in names.items()}
    files = {module: (name, ids[module]) for module, name in names.items()}
    files["transform"] = ("t.pth", "0" * 40)
    monkeypatch.setattr(released_model, "RELEASED_FILES", files)
    with pytest.raises(WeightsError) as caught:
        released_model.verify_release(tmp_path)
    assert str(caught.value).splitlines() == [
        "These are not the released files:",
        f"  {tmp_path}/t.pth has git blob id {ids['transform']}, the authors' has {'0' * 40}",
        f"  {tmp_path}/d.pth is missing",
    ]
    files["transform"] = ("t.pth", ids["transform"])
    (tmp_path / "d.pth").write_text("d.pth")
    released_model.verify_release(tmp_path)


# ---------------------------------------------------------------- the command


def run_convert(*arguments) -> subprocess.CompletedProcess:
    """Runs the command in a process that imports everything itself."""
    command = [sys.executable, ROOT / "convert_vgg.py", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)


@pytest.fixture(scope="module")
def vgg_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("vgg") / "vgg.safetensors"
    save_file(small_model()[1]["vgg"], path)
    return path


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    """A directory of the three released files, at a small width."""
    pytest.importorskip("torch")
    directory = tmp_path_factory.mktemp("released")
    for module, (name, _) in RELEASED_FILES.items():
        save_state_dict(directory / name, small_model()[1][module])
    return directory


def test_the_command_converts_an_encoder(vgg_file, tmp_path):
    done = run_convert(f"--vgg={vgg_file}", f"--output={tmp_path}/new/vgg")
    assert (done.returncode, done.stderr) == (0, "")
    assert "6 tensors beyond conv5_1 are not used" in done.stdout
    assert "width 0.125" in done.stdout
    encoder, architecture = load_encoder(tmp_path / "new" / "vgg")
    assert architecture == small_model()[0].architecture
    assert_same_bits(named_arrays(encoder), named_arrays(small_model()[0].encoder))


@pytest.mark.parity
def test_the_command_converts_a_model_and_exports_it_bit_by_bit(vgg_file, released, tmp_path):
    done = run_convert(f"--vgg={vgg_file}", f"--stya2k={released}", f"--output={tmp_path}/model")
    assert (done.returncode, done.stderr) == (0, "")
    model, weights = small_model()
    converted = stya2k_jax.load(tmp_path / "model")
    assert converted.architecture == model.architecture
    assert_same_bits(named_arrays(converted), named_arrays(model))

    done = run_convert(f"--export_pytorch={tmp_path}/model", f"--output={tmp_path}/exported")
    assert (done.returncode, done.stderr) == (0, "")
    assert "width 0.125" in done.stdout
    for module, (name, _) in RELEASED_FILES.items():
        assert_same_bits(read_state_dict(tmp_path / "exported" / name), weights[module])


MISTAKES = {
    "neither": ([], "give either --vgg=FILE to convert, or --export_pytorch=CHECKPOINT"),
    "both": (["--vgg={vgg}", "--export_pytorch={tmp}"], "give either --vgg=FILE to convert"),
    "no file": (["--vgg={tmp}/missing.safetensors"], "missing.safetensors does not exist"),
    "text": (["--vgg={tmp}/text.safetensors"], "text.safetensors cannot be read as safetensors"),
    "other": (["--vgg={tmp}/other.safetensors"], "other.safetensors does not fit:\n  missing: 0.w"),
    "format": (["--vgg={vgg}", "--vgg_format=torchvision"], "give --photographs=FOLDER"),
    "no release": (["--vgg={vgg}", "--verify"], "give --stya2k=DIRECTORY"),
    "no model": (["--export_pytorch={tmp}"], "holds no model"),
    "stray": (["--vgg={vgg}", "--stya2k", "{tmp}", "model"], "unknown argument 'model'"),
    "lacking": (["--vgg={vgg}", "--stya2k={tmp}"], "lacks latest_net_A2K.pth, latest_net_tran"),
    "not theirs": (
        ["--vgg={vgg}", "--stya2k={tmp}", "--verify"],
        "latest_net_decoder.pth has git blob id ce013625030ba8dba906f756967f9e9ca394464a",
    ),
    "no flag": (["--vvg={vgg}"], "Unknown command line flag 'vvg'"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_message_and_leaves_the_output_alone(mistake, vgg_file, tmp_path):
    (tmp_path / "text.safetensors").write_text("hello")
    save_file({"conv.weight": np.zeros(3, np.float32)}, tmp_path / "other.safetensors")
    if mistake == "not theirs":
        for name, _ in RELEASED_FILES.values():
            (tmp_path / name).write_text("hello\n")
    (tmp_path / "output").mkdir()
    (tmp_path / "output" / "encoder.safetensors").write_text("before")

    arguments, message = MISTAKES[mistake]
    arguments = [argument.format(tmp=tmp_path, vgg=vgg_file) for argument in arguments]
    done = run_command("convert_vgg.py", f"--output={tmp_path}/output", *arguments)
    assert done.returncode in (1, 2)
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    left = {file.name: file.read_text() for file in (tmp_path / "output").iterdir()}
    assert left == {"encoder.safetensors": "before"}
