"""Times in words."""

import pytest

from stya2k_jax.demo.words import duration


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.01, "a few hundredths of a second"),
        (0.1, "a tenth of a second"),
        (0.25, "a quarter of a second"),
        (0.5, "half a second"),
        (1.2, "a second"),
        (1.6, "two seconds"),
        (14.4, "14 seconds"),
        (58, "a minute"),
        (130, "two minutes"),
        (3600, "an hour"),
        (7300, "two hours"),
    ],
)
def test_a_time_is_told_as_one_says_it(seconds, words):
    assert duration(seconds) == words
