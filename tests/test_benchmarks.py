"""What benchmarks report is what happened: programs that were compiled, PyTorch's kept style."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.compilations import compilations
from benchmarks.peak import flops_of
from tests.support.reference_weights import recipe_weights
from tests.support.small_model import WIDTH, pictures


def test_every_program_is_counted_when_it_is_compiled_and_never_again():
    cube, root = jax.jit(lambda x: x**3), jax.jit(jnp.sqrt)
    row, square = np.ones(3, np.float32), np.ones((3, 3), np.float32)
    with compilations() as names:
        for x in (row, square, row):
            cube(x), root(x)
    assert len(names) == 4
    with compilations() as none:
        cube(row)
    root(np.ones(5, np.float32))  # nobody listens any more
    assert none == [] and len(names) == 4


def test_the_arithmetic_of_a_program_is_that_of_its_products():
    product = jax.jit(lambda x, y: x @ y)
    assert flops_of(product, np.ones((3, 5), np.float32), np.ones((5, 7), np.float32)) == 2 * 105


@pytest.mark.parity
def test_pytorch_with_a_kept_style_paints_what_it_paints_of_both_pictures():
    torch = pytest.importorskip("torch")
    from benchmarks.kept_style import KeptStyle
    from tests.support import torch_reference

    model = torch_reference.build(recipe_weights(width=WIDTH))
    content, style = map(torch_reference.from_nhwc, pictures(0, (40, 72), (67, 93)))
    with torch.inference_mode():
        kept, before = KeptStyle(model, style), model(content, style)
        assert torch.equal(kept(content), before)
        assert torch.equal(model(content, style), before)  # the model itself is as it was
