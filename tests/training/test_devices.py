"""Who belongs to a run of several processes, as flags and environment say."""

import pytest

from stya2k_jax.training.devices import JoinError, Place, place_of

POD = {"TPU_WORKER_HOSTNAMES": "host-0,host-1"}
GIVEN = {"STYA2K_COORDINATOR": "a:1", "STYA2K_PROCESSES": "4", "STYA2K_PROCESS": "3"}


@pytest.mark.parametrize(
    ("arguments", "environment", "place"),
    [
        ((None, None, None, False), {}, None),
        ((None, None, None, False), {"TPU_WORKER_HOSTNAMES": "localhost"}, None),
        ((None, None, None, False), POD, Place()),
        ((None, None, None, True), {}, Place()),
        (("host:80", 2, 0, False), {}, Place("host:80", 2, 0)),
        ((None, None, None, False), GIVEN, Place("a:1", 4, 3)),
        (("b:2", None, 0, False), GIVEN, Place("b:2", 4, 0)),
        (("[::1]:80", 2, 1, False), POD, Place("[::1]:80", 2, 1)),
    ],
)
def test_flags_come_before_the_environment_and_both_before_detection(arguments, environment, place):
    assert place_of(*arguments, environment) == place


@pytest.mark.parametrize(
    ("arguments", "environment", "message"),
    [
        (("host:80", None, None), {}, "--processes is missing .or STYA2K_PROCESSES"),
        ((None, 2, 0), {}, "--coordinator is missing"),
        (("host:80", 2, 2), {}, "--process=2 does not exist among --processes=2; use 0 to 1"),
        (("host:80", 2, -1), {}, "--process=-1 does not exist"),
        (("host", 2, 0), {}, "--coordinator=host is not of the form HOST:PORT"),
        (("host:http", 2, 0), {}, "is not of the form HOST:PORT"),
        ((None, None, None), GIVEN | {"STYA2K_PROCESS": "one"}, "are whole numbers"),
    ],
)
def test_half_a_place_is_refused(arguments, environment, message):
    with pytest.raises(JoinError, match=message):
        place_of(*arguments, False, environment)
