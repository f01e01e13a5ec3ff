"""Serves a page to try a model in the browser, until Ctrl-C."""

from absl import flags

from stya2k_jax.commands import command_line
from stya2k_jax.demo.server import listen, serve
from stya2k_jax.inference.stylizer import Stylizer
from stya2k_jax.weights.loading import MINI, load


def main() -> None:
    """Serves the page until Ctrl-C."""
    host = flags.DEFINE_string(
        "host", "127.0.0.1", "Address to listen on; 0.0.0.0 opens the page to the network."
    )
    port = flags.DEFINE_integer(
        "port", 7860, "Port to listen on.", lower_bound=1, upper_bound=2**16 - 1
    )
    checkpoint = flags.DEFINE_string("checkpoint", MINI, "The model that paints.")

    hosts = flags.DEFINE_multi_string(
        "allow_host", [], "Name under which a proxy or the network asks for the page; repeatable."
    )

    def run(_) -> None:
        with listen(host.value, port.value) as listener:
            serve(Stylizer(load(checkpoint.value)), listener, hosts.value)

    command_line.run(run)
