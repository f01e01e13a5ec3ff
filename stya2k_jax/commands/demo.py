"""Serves a page to try a model in the browser, until Ctrl-C."""

from absl import flags

from stya2k_jax.commands import command_line, compile_cache
from stya2k_jax.demo.painting import DEFAULT_SIZE_PX
from stya2k_jax.demo.server import listen, serve
from stya2k_jax.inference.stylizer import Stylizer
from stya2k_jax.inference.warming import warm_for_any_style
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

    cache = flags.DEFINE_string(
        "compile_cache", None, "Directory for compiled programs; '' for none; default: ~/.cache."
    )

    def run(_) -> None:
        compile_cache.use(cache.value)
        with listen(host.value, port.value) as listener:
            stylizer = Stylizer(load(checkpoint.value))
            programs = warm_for_any_style(stylizer, DEFAULT_SIZE_PX)
            serve(stylizer, listener, hosts.value, programs)

    command_line.run(run)
