"""The A2K module: learned 1x1 convolutions around all-to-key attention (Eq. 6, 13, 14).

Each path has a style half, `keys`, which depends on the style alone and may be kept for the next
content, and a content half, `__call__`, which attends to it.
"""

import dataclasses
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from stya2k_jax.network import attention
from stya2k_jax.network.blocks import from_blocks, grid_shape, pad_to_blocks, real_points, to_blocks
from stya2k_jax.network.layers import Conv1x1, parameter
from stya2k_jax.network.normalization import Moments, normalize
from stya2k_jax.network.sizes import Extent

_pytree = jax.tree_util.register_dataclass
_static = partial(dataclasses.field, metadata=dict(static=True))


class RealBlocks(NamedTuple):
    """Which blocks of a padded style map count.

    Attributes:
      extent: the part of the map that is real.
      order: `[m]` int32, indices of the blocks with real points, row by row, then of any others.
      count: how many have real points, int32.
    """

    extent: Extent
    order: jax.Array | np.ndarray
    count: jax.Array | int  # type: ignore[assignment]  # hides a method of tuples


@_pytree
@dataclasses.dataclass(frozen=True)
class DistributedKeys:
    """A style for distributed attention: k_hat and v_hat `[b, m, h, d]`.

    `are_real` `[m]` is False for keys that belong to no block (None: all real).
    """

    k_hat: jax.Array
    v_hat: jax.Array
    are_real: jax.Array | None


@_pytree
@dataclasses.dataclass(frozen=True)
class ProgressiveKeys:
    """A style for progressive attention: k and v `[b, m, s, h, d]`.

    `mask` `[m, s]` is False at padding (None: all real); `grid` `[2]` is rows and
    columns of blocks; `block_size` the side of a block, of this style and of what attends to it.
    """

    k: jax.Array
    v: jax.Array
    mask: jax.Array | None
    grid: jax.Array
    block_size: int = _static()


@_pytree
@dataclasses.dataclass(frozen=True)
class AllKeys:
    """A style for all-to-all attention: k and v `[b, p, h, d]`.

    `are_real` `[p]` is False at points that are padding (None: all real).
    """

    k: jax.Array
    v: jax.Array
    are_real: jax.Array | None


class _Path(nnx.Module):
    """The convolutions every path has: query, key, value and, on the way out, fuse."""

    def __init__(
        self, channels: int, *, heads: int, block_size: int, dtype: str, rngs: nnx.Rngs | None
    ):
        self.heads, self.block_size = heads, block_size
        conv = partial(Conv1x1, channels, channels, dtype=dtype, rngs=rngs)
        self.query, self.key, self.value, self.fuse = conv(), conv(), conv(), conv()

    def points(self, x: jax.Array) -> jax.Array:
        """Lists the points of a map, by heads: [b, H, W, c] -> [b, p, h, d]."""
        return x.reshape(x.shape[0], -1, self.heads, x.shape[3] // self.heads)

    def style_halves(
        self, f_s: jax.Array, block_size: int | None, real: RealBlocks | None
    ) -> tuple[jax.Array, jax.Array, jax.Array | None]:
        """Returns keys and values of a style's features in blocks, and their mask."""
        k_map = self.key(normalize(f_s, extent=real and real.extent))
        k, v = (self.style_blocks(x, block_size, real) for x in (k_map, self.value(f_s)))
        return k, v, self.style_mask(f_s, block_size, real)

    def style_blocks(
        self, x: jax.Array, block_size: int | None, real: RealBlocks | None
    ) -> jax.Array:
        """Cuts a style's map `[b, H, W, c]` into the blocks that count, `[b, m, s, h, d]`."""
        blocks = to_head_blocks(x, block_size or self.block_size, self.heads)
        return blocks if real is None else jnp.take(blocks, real.order, axis=1)

    def style_mask(
        self, x: jax.Array, block_size: int | None, real: RealBlocks | None
    ) -> jax.Array | None:
        """Returns which points of `style_blocks` are real, `[m, s]`; None: all."""
        extent = None if real is None else real.extent
        mask = real_points(x.shape[1], x.shape[2], block_size or self.block_size, extent)
        if real is None or mask is None:
            return None if mask is None else jnp.asarray(mask)
        return mask[real.order] & (jnp.arange(len(real.order)) < real.count)[:, None]


class DistributedPath(_Path):
    """Distributed attention with its weights (Eq. 7-9); alpha and beta shape the similarity."""

    def __init__(
        self, channels: int, *, heads: int, block_size: int, dtype: str, rngs: nnx.Rngs | None
    ):
        super().__init__(channels, heads=heads, block_size=block_size, dtype=dtype, rngs=rngs)
        self.alpha = parameter((), jax.nn.initializers.ones, rngs)
        self.beta = parameter((), jax.nn.initializers.zeros, rngs)

    def keys(
        self,
        f_s: jax.Array,
        block_size: int | None = None,
        real: RealBlocks | None = None,
    ) -> DistributedKeys:
        """Sums up the style features `[b, H, W, c]`, block by block; arguments as `A2K.keys`."""
        k, v, mask = self.style_halves(f_s, block_size, real)
        k_hat, v_hat = attention.regional_keys(k, v, self.alpha[...], self.beta[...], mask)
        return DistributedKeys(
            k_hat, v_hat, None if real is None or mask is None else mask.any(axis=1)
        )

    def __call__(
        self, n_c: jax.Array, keys: DistributedKeys, extent: Extent | None = None
    ) -> jax.Array:
        """Maps normalized content `[b, H, W, c]` to F_cs,D of the same shape."""
        del extent  # every point attends independently
        q = self.points(self.query(n_c))[:, None]  # one block of all points
        out = attention.distributed_attention(q, keys.k_hat, keys.v_hat, keys.are_real)
        return self.fuse(out.reshape(n_c.shape))


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
        rngs: nnx.Rngs | None,
    ):
        super().__init__(channels, heads=heads, block_size=block_size, dtype=dtype, rngs=rngs)
        self.matches = matches

    def keys(
        self,
        f_s: jax.Array,
        block_size: int | None = None,
        real: RealBlocks | None = None,
    ) -> ProgressiveKeys:
        """Cuts keys and values of `[b, H, W, c]` into blocks; arguments as `A2K.keys`."""
        # Departure from the paper, as in the release: values have a convolution of their own.
        k, v, mask = self.style_halves(f_s, block_size, real)
        size = block_size or self.block_size
        height, width = f_s.shape[1:3] if real is None else real.extent
        grid = grid_shape(height, width, size)
        return ProgressiveKeys(
            k,
            v,
            mask,
            jnp.stack([jnp.asarray(side, jnp.int32) for side in grid]),
            size,
        )

    def match(
        self,
        q: jax.Array,
        keys: ProgressiveKeys,
        height: int,
        width: int,
        extent: Extent | None = None,
    ) -> jax.Array:
        """Returns p_idx `[b, n, h]` for query blocks `[b, n, r, h, d]` of an H x W map."""
        size = keys.block_size
        if self.matches:
            mask = real_points(height, width, size, extent)
            return attention.match_blocks(q, keys.k, mask, keys.mask)
        padded = grid_shape(height, width, size)
        grid = padded if extent is None else grid_shape(extent.height, extent.width, size)
        index = attention.same_place_blocks(grid, tuple(keys.grid), padded)
        return jnp.broadcast_to(index[None, :, None], (q.shape[0], q.shape[1], self.heads))

    def __call__(
        self, n_c: jax.Array, keys: ProgressiveKeys, extent: Extent | None = None
    ) -> jax.Array:
        """Maps normalized content `[b, H, W, c]` to F_cs,P of the same shape."""
        height, width = n_c.shape[1:3]
        q = to_head_blocks(self.query(n_c), keys.block_size, self.heads)
        p_idx = self.match(q, keys, height, width, extent)
        out = attention.progressive_attention(q, keys.k, keys.v, p_idx, keys.mask)
        blocks = out.reshape(*out.shape[:3], -1)
        return self.fuse(from_blocks(blocks, height, width, keys.block_size))


class AllToAllPath(_Path):
    """All-to-all attention with its weights (Eq. 4-5), the ablation of Table 2."""

    def keys(
        self,
        f_s: jax.Array,
        block_size: int | None = None,
        real: RealBlocks | None = None,
    ) -> AllKeys:
        """Lists keys and values of `[b, H, W, c]`; arguments as `A2K.keys`."""
        del block_size  # there are no blocks
        are_real = None if real is None else real.extent.inside(*f_s.shape[1:3]).reshape(-1)
        k_map = self.key(normalize(f_s, extent=real and real.extent))
        return AllKeys(self.points(k_map), self.points(self.value(f_s)), are_real)

    def __call__(self, n_c: jax.Array, keys: AllKeys, extent: Extent | None = None) -> jax.Array:
        """Maps normalized content `[b, H, W, c]` to attended features of the same shape."""
        del extent  # every point attends independently
        q = self.points(self.query(n_c))
        out = attention.all_to_all_attention(q, keys.k, keys.v, are_real=keys.are_real)
        return self.fuse(out.reshape(n_c.shape))


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
        rngs: nnx.Rngs | None,
    ):
        heads = 1 if variant == "single_head" else heads
        if channels % heads:
            raise ValueError(f"{channels} channels do not split into {heads} heads; set `heads`.")
        options: dict[str, Any] = dict(heads=heads, block_size=block_size, dtype=dtype, rngs=rngs)
        paths: dict[str, Any] = {}
        if variant == "all_to_all":
            paths["all_to_all"] = AllToAllPath(channels, **options)
        else:
            if variant != "no_da":
                paths["distributed"] = DistributedPath(channels, **options)
            if variant != "no_pa":
                matches = variant != "no_pa_step1"
                paths["progressive"] = ProgressivePath(channels, matches=matches, **options)
        self.paths = nnx.Dict(paths)

    def keys(
        self,
        f_s: jax.Array,
        block_size: int | None = None,
        real: RealBlocks | None = None,
    ) -> dict:
        """Returns what the paths need of the style features F_s `[b, H, W, c]`.

        Args:
          f_s: the features.
          block_size: side of the blocks, of the style and of what attends to it; None: the one of
            training.
          real: the blocks that count; None: all, and all of F_s is real.
        """
        return {name: path.keys(f_s, block_size, real) for name, path in self.paths.items()}

    def __call__(
        self,
        f_c: jax.Array,
        keys: dict,
        extent: Extent | None = None,
        moments: Moments | None = None,
    ) -> jax.Array:
        """Maps F_c `[b, H, W, c]` and the style's keys to F_cs, of F_c's shape.

        Args:
          f_c: content features.
          keys: `self.keys` of the style.
          extent: the real part of F_c; None: all of it.
          moments: mean and deviation by which F_c is normalized; None: its own.
        """
        n_c = normalize(f_c, extent=extent, moments=moments)
        return sum(path(n_c, keys[name], extent) for name, path in self.paths.items()) + f_c


def to_head_blocks(x: jax.Array, block_size: int, heads: int) -> jax.Array:
    """Pads and cuts a map into blocks, channels into heads: [b, H, W, c] -> [b, n, r, h, d]."""
    blocks = to_blocks(pad_to_blocks(x, block_size), block_size)
    return blocks.reshape(*blocks.shape[:3], heads, -1)
