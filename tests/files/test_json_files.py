"""JSON files hold whatever they are given, and what is damaged is named."""

import pytest

from stya2k_jax.errors import UserError
from stya2k_jax.files.json_files import read_object, write_json


@pytest.mark.parametrize("text", ["Gemälde", "no UTF-8: \udcff", '"\n'])
def test_what_is_written_is_read_back(tmp_path, text):
    write_json(tmp_path / "a.json", {"text": text})
    assert read_object(tmp_path / "a.json", "start anew") == {"text": text}


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"[" * 100_000])
def test_a_damaged_file_is_named_with_what_to_do(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(UserError, match="a.json is damaged .*; start anew"):
        read_object(tmp_path / "a.json", "start anew")
