"""Times in words."""

_SECONDS = (  # up to so many seconds
    (0.06, "a few hundredths of a second"),
    (0.15, "a tenth of a second"),
    (0.22, "a fifth of a second"),
    (0.29, "a quarter of a second"),
    (0.42, "a third of a second"),
    (0.65, "half a second"),
    (0.9, "three quarters of a second"),
    (1.5, "a second"),
)
_NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def duration(seconds: float) -> str:
    """Returns a time as one says it: `a quarter of a second`, `two minutes`."""
    for most, words in _SECONDS:
        if seconds <= most:
            return words
    if seconds < 50:
        return f"{_number(seconds)} seconds"
    if seconds < 90:
        return "a minute"
    if seconds < 50 * 60:
        return f"{_number(seconds / 60)} minutes"
    return "an hour" if seconds < 90 * 60 else f"{_number(seconds / 3600)} hours"


def _number(value: float) -> str:
    whole = round(value)
    return _NUMBERS[whole - 1] if 1 <= whole <= len(_NUMBERS) else str(whole)
