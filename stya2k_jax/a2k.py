"""The A2K module: learned 1x1 convolutions around all-to-key attention (Eq. 6, 13, 14).

Each path has a style half, `keys`, which depends on the style alone and may be kept for the next
content, and a content half, `__call__`, which attends to it.
"""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
from flax import nnx

from stya2k_jax import attention
from stya2k_jax.blocks import from_blocks, grid_shape, pad_to_blocks, real_points, to_blocks
from stya2k_jax.layers import Conv1x1
from stya2k_jax.stats import normalize

_pytree = jax.tree_util.register_dataclass
_static = partial(dataclasses.field, metadata=dict(static=True))


@_pytree
@dataclasses.dataclass(frozen=True)
class DistributedKeys:
    """What distributed attention needs of a style: k_hat and v_hat `[b, m, h, d]`."""

    k_hat: jax.Array
    v_hat: jax.Array


@_pytree
@dataclasses.dataclass(frozen=True)
class ProgressiveKeys:
    """What progressive attention needs of a style: k and v `[b, m, s, h, d]`.

    `mask` `[m, s]` tells real points from padding (None: all real); `grid` is rows and columns of
    blocks.
    """

    k: jax.Array
    v: jax.Array
    mask: jax.Array | None
    grid: tuple[int, int] = _static()


@_pytree
@dataclasses.dataclass(frozen=True)
class AllKeys:
    """What all-to-all attention needs of a style: k and v `[b, p, h, d]`."""

    k: jax.Array
    v: jax.Array


class _Path(nnx.Module):
    """The convolutions every path has: query, key, value and, on the way out, fuse."""

    def __init__(self, channels: int, *, heads: int, block_size: int, dtype: str, rngs: nnx.Rngs):
        self.heads, self.block_size = heads, block_size
        conv = partial(Conv1x1, channels, channels, dtype=dtype, rngs=rngs)
        self.query, self.key, self.value, self.fuse = conv(), conv(), conv(), conv()

    def blocks(self, x: jax.Array) -> jax.Array:
        """Cuts a map into blocks and heads: [b, H, W, c] -> [b, n, r, h, d]."""
        return to_head_blocks(x, self.block_size, self.heads)

    def fuse_blocks(self, out: jax.Array, height: int, width: int) -> jax.Array:
        """Joins attended blocks [b, n, r, h, d] to a map and convolves it (U of Eq. 13)."""
        blocks = out.reshape(*out.shape[:3], -1)
        return self.fuse(from_blocks(blocks, height, width, self.block_size))


class DistributedPath(_Path):
    """Distributed attention with its weights (Eq. 7-9); alpha and beta shape the similarity."""

    def __init__(self, channels: int, *, heads: int, block_size: int, dtype: str, rngs: nnx.Rngs):
        super().__init__(channels, heads=heads, block_size=block_size, dtype=dtype, rngs=rngs)
        self.alpha, self.beta = nnx.Param(jnp.ones(())), nnx.Param(jnp.zeros(()))

    def keys(self, f_s: jax.Array) -> DistributedKeys:
        """Sums up the style features `[b, H, W, c]`, block by block."""
        k, v = self.blocks(self.key(normalize(f_s))), self.blocks(self.value(f_s))
        mask = real_points(*f_s.shape[1:3], self.block_size)
        return DistributedKeys(
            *attention.regional_keys(k, v, self.alpha[...], self.beta[...], mask)
        )

    def __call__(self, n_c: jax.Array, keys: DistributedKeys) -> jax.Array:
        """Maps normalised content `[b, H, W, c]` to F_cs,D of the same shape."""
        q = self.blocks(self.query(n_c))
        out = attention.distributed_attention(q, keys.k_hat, keys.v_hat)
        return self.fuse_blocks(out, *n_c.shape[1:3])


class ProgressivePath(_Path):
    """Progressive attention with its weights (Eq. 10-12).

    `matches=False` leaves step 1 out: each block looks into the style block at its own place.
    """

    def __init__(
        self,
        channels: int,
        *,
        heads: int,
        block_size: int,
        matches: bool = True,
        dtype: str,
        rngs: nnx.Rngs,
    ):
        super().__init__(channels, heads=heads, block_size=block_size, dtype=dtype, rngs=rngs)
        self.matches = matches

    def keys(self, f_s: jax.Array) -> ProgressiveKeys:
        """Cuts keys and values of the style features `[b, H, W, c]` into blocks."""
        # Departure from the paper, as in the release: values have a convolution of their own.
        k, v = self.blocks(self.key(normalize(f_s))), self.blocks(self.value(f_s))
        height, width = f_s.shape[1:3]
        mask = real_points(height, width, self.block_size)
        mask = None if mask is None else jnp.asarray(mask)
        return ProgressiveKeys(k, v, mask, grid_shape(height, width, self.block_size))

    def match(self, q: jax.Array, keys: ProgressiveKeys, height: int, width: int) -> jax.Array:
        """Returns p_idx `[b, n, h]` for query blocks `[b, n, r, h, d]` of an H x W map."""
        if self.matches:
            mask = real_points(height, width, self.block_size)
            return attention.match_blocks(q, keys.k, mask, keys.mask)
        grid = grid_shape(height, width, self.block_size)
        index = jnp.asarray(attention.same_place_blocks(grid, keys.grid))
        return jnp.broadcast_to(index[None, :, None], (q.shape[0], q.shape[1], self.heads))

    def __call__(self, n_c: jax.Array, keys: ProgressiveKeys) -> jax.Array:
        """Maps normalised content `[b, H, W, c]` to F_cs,P of the same shape."""
        q = self.blocks(self.query(n_c))
        p_idx = self.match(q, keys, *n_c.shape[1:3])
        out = attention.progressive_attention(q, keys.k, keys.v, p_idx, keys.mask)
        return self.fuse_blocks(out, *n_c.shape[1:3])


class AllToAllPath(_Path):
    """All-to-all attention with its weights (Eq. 4-5), the ablation of Table 2."""

    def points(self, x: jax.Array) -> jax.Array:
        """Lists the points of a map, by heads: [b, H, W, c] -> [b, p, h, d]."""
        return x.reshape(x.shape[0], -1, self.heads, x.shape[3] // self.heads)

    def keys(self, f_s: jax.Array) -> AllKeys:
        """Lists keys and values of the style features `[b, H, W, c]`."""
        return AllKeys(self.points(self.key(normalize(f_s))), self.points(self.value(f_s)))

    def __call__(self, n_c: jax.Array, keys: AllKeys) -> jax.Array:
        """Maps normalised content `[b, H, W, c]` to attended features of the same shape."""
        q = self.points(self.query(n_c))
        return self.fuse(attention.all_to_all_attention(q, keys.k, keys.v).reshape(n_c.shape))


class A2K(nnx.Module):
    """All-to-key attention on one tap: F_cs = F_cs,D + F_cs,P + F_c (Eq. 14), or an ablation."""

    def __init__(
        self,
        channels: int,
        *,
        block_size: int,
        heads: int = 8,
        variant: str = "full",
        dtype: str = "float32",
        rngs: nnx.Rngs,
    ):
        heads = 1 if variant == "single_head" else heads
        if channels % heads:
            raise ValueError(f"{channels} channels do not split into {heads} heads; set `heads`.")
        options = dict(heads=heads, block_size=block_size, dtype=dtype, rngs=rngs)
        paths = {}
        if variant == "all_to_all":
            paths["all_to_all"] = AllToAllPath(channels, **options)
        else:
            if variant != "no_da":
                paths["distributed"] = DistributedPath(channels, **options)
            if variant != "no_pa":
                matches = variant != "no_pa_step1"
                paths["progressive"] = ProgressivePath(channels, matches=matches, **options)
        self.paths = nnx.Dict(paths)

    def keys(self, f_s: jax.Array) -> dict:
        """Returns what the paths need of the style features F_s `[b, H, W, c]`."""
        return {name: path.keys(f_s) for name, path in self.paths.items()}

    def __call__(self, f_c: jax.Array, keys: dict) -> jax.Array:
        """Maps F_c `[b, H, W, c]` and the style's keys to F_cs, of F_c's shape."""
        n_c = normalize(f_c)
        return sum(path(n_c, keys[name]) for name, path in self.paths.items()) + f_c


def to_head_blocks(x: jax.Array, block_size: int, heads: int) -> jax.Array:
    """Pads and cuts a map into blocks, channels into heads: [b, H, W, c] -> [b, n, r, h, d]."""
    blocks = to_blocks(pad_to_blocks(x, block_size), block_size)
    return blocks.reshape(*blocks.shape[:3], heads, -1)
