"""SIGTERM and Ctrl-C: noticed, acted on after a step, and not waited for by a compilation."""

import os
import signal
import threading

import pytest

from stya2k_jax.stopping import StopRequest, compiling, unless_stopped


def send(number: int) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_noted_and_the_handler_before_comes_back(number):
    before = signal.getsignal(number)
    with StopRequest() as stop:
        assert not stop.now()
        send(number)
        assert stop.now() and stop.signal == signal.Signals(number).name
    assert signal.getsignal(number) is before


def test_a_second_ctrl_c_interrupts_at_once_and_a_second_sigterm_does_not():
    with StopRequest() as stop:
        send(signal.SIGTERM)
        send(signal.SIGTERM)
        assert stop.signal == "SIGTERM"
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGINT)


def test_what_is_compiled_comes_back_and_so_do_errors():
    def fail():
        raise ValueError("no such operation")

    with StopRequest() as stop:
        assert unless_stopped(lambda: 3, stop) == 3
        with pytest.raises(ValueError, match="no such operation"):
            unless_stopped(fail, stop)
    assert not compiling()


def test_a_signal_does_not_wait_for_a_compilation():
    goes_on = threading.Event()
    with StopRequest() as stop:
        threading.Timer(0.2, send, [signal.SIGTERM]).start()
        assert unless_stopped(goes_on.wait, stop) is None
        assert compiling()
        assert unless_stopped(pytest.fail, stop) is None  # not even begun
    goes_on.set()
