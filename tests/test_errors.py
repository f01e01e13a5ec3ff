"""Optional packages: what is missing is one message that says how to install it."""

import sys

import pytest

from stya2k_jax.errors import UserError, require


def test_what_is_there_is_returned():
    assert require("json", "demo", "Nothing") is __import__("json")


@pytest.mark.parametrize(
    ("module", "message"),
    [
        ("cv2", r"Flow needs OpenCV; install it with: pip install 'stya2k-jax\[video\]'$"),
        ("skimage.metrics", "Flow needs scikit-image; install it"),
        ("no_such_package", "Flow needs no_such_package; install it"),
    ],
)
def test_a_missing_package_is_named_with_its_extra(monkeypatch, module, message):
    monkeypatch.setitem(sys.modules, module.partition(".")[0], None)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError, match=message):
        require(module, "video", "Flow")


def test_a_package_that_lacks_another_says_which(monkeypatch, tmp_path):
    (tmp_path / "half_there.py").write_text("import what_it_needs")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match="needs half_there .No module named 'what_it_needs'.;"):
        require("half_there", "demo", "The demo")
