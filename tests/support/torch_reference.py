"""The whole of StyA2K in PyTorch, eager and NCHW: the yardstick of parity tests and benchmarks.

Written from the system's description, not from the JAX code. Weights come as plain dicts of arrays
with the released PyTorch keys, one dict for each of the modules "vgg", "A2K", "transform" and
"decoder"; channel counts are read off their shapes. In shape comments: b image, h head, n content
block, m style block, r point of a block, d channel of a head, c all channels.
"""

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

TAPS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
BLOCK_SIZE = {"relu2_1": 16, "relu3_1": 8, "relu4_1": 8, "relu5_1": 4}  # a side, in points
HEADS = 8
EPS = 1e-5
LAMBDA_GLOBAL, LAMBDA_A2K = 10.0, 1.25
VARIANTS = ("full", "all_to_all", "no_da", "no_pa", "no_pa_step1", "single_head")

# Each 3x3 convolution of the encoder and what its ReLU is followed by: a tap, a pooling, nothing.
ENCODER = (
    ("2", "relu1_1"), ("5", "pool"),
    ("9", "relu2_1"), ("12", "pool"),
    ("16", "relu3_1"), ("19", ""), ("22", ""), ("25", "pool"),
    ("29", "relu4_1"), ("32", ""), ("35", ""), ("38", "pool"),
    ("42", "relu5_1"),
)  # fmt: skip

State = Mapping[str, np.ndarray]  # PyTorch key -> array


# ---------------------------------------------------------------- layers


def conv(weights: State, name: str) -> nn.Conv2d:
    """Makes an unpadded convolution of the weights stored under `name`."""
    weight, bias = (
        torch.as_tensor(np.array(weights[f"{name}.{part}"])) for part in ("weight", "bias")
    )
    layer = nn.Conv2d(weight.shape[1], weight.shape[0], weight.shape[2:])
    layer.weight, layer.bias = nn.Parameter(weight), nn.Parameter(bias)
    return layer


def reflect(x: Tensor) -> Tensor:
    """Pads each side by one, reflecting; an axis of length 1 repeats its edge."""
    height, width = x.shape[2:]
    if height > 1 and width > 1:
        return F.pad(x, (1, 1, 1, 1), mode="reflect")
    x = F.pad(x, (1, 1, 0, 0), mode="reflect" if width > 1 else "replicate")
    return F.pad(x, (0, 0, 1, 1), mode="reflect" if height > 1 else "replicate")


def normalize(x: Tensor) -> Tensor:
    """Gives each channel zero mean and unit deviation over space: N(.)."""
    mean, std = mean_and_std(x)
    return (x - mean) / std


def mean_and_std(x: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the mean and deviation of each channel, [b, c, 1, 1]; one point has no variance."""
    points = x.shape[2] * x.shape[3]
    var, mean = torch.var_mean(x, dim=(2, 3), correction=min(1, points - 1), keepdim=True)
    return mean, torch.sqrt(var + EPS)


def upsample(x: Tensor, like: Tensor) -> Tensor:
    """Doubles a map (nearest) and crops it at the bottom and right to the size of `like`."""
    height, width = like.shape[2:]
    return F.interpolate(x, scale_factor=2, mode="nearest")[:, :, :height, :width]


def resize_nearest(x: Tensor, height: int, width: int) -> Tensor:
    """Picks the points floor(i * in / out) of each axis."""
    rows = torch.arange(height, device=x.device) * x.shape[2] // height
    cols = torch.arange(width, device=x.device) * x.shape[3] // width
    return x.index_select(2, rows).index_select(3, cols)


# ---------------------------------------------------------------- attention, without weights


def to_blocks(x: Tensor, side: int, heads: int) -> Tensor:
    """Cuts a map into blocks, filling the last ones with zeros: [b, c, H, W] -> [b, h, n, r, d]."""
    b, c, height, width = x.shape
    if height % side or width % side:
        x = F.pad(x, (0, -width % side, 0, -height % side))
    rows, cols = x.shape[2] // side, x.shape[3] // side
    x = x.permute(0, 2, 3, 1).reshape(b, rows, side, cols, side, heads, c // heads)
    x = x.permute(0, 5, 1, 3, 2, 4, 6)  # b, head, block row and column, point row and column, d
    return x.reshape(b, heads, rows * cols, side * side, c // heads)


def from_blocks(x: Tensor, side: int, height: int, width: int) -> Tensor:
    """Undoes `to_blocks`: [b, h, n, r, d] -> [b, c, H, W]."""
    b, heads, _, _, d = x.shape
    rows, cols = -(-height // side), -(-width // side)
    x = x.reshape(b, heads, rows, cols, side, side, d).permute(0, 1, 6, 2, 4, 3, 5)
    return x.reshape(b, heads * d, rows * side, cols * side)[:, :, :height, :width]


def real_points(height: int, width: int, side: int, device: torch.device) -> Tensor | None:
    """Tells the points of the map from the filling, [n, r]; None where nothing is filled."""
    if height % side == 0 and width % side == 0:
        return None
    ones = torch.ones(1, 1, height, width, device=device)
    return to_blocks(ones, side, heads=1)[0, 0, :, :, 0] > 0


def distributed_attention(q, k, v, real, alpha, beta) -> Tensor:
    """Attends from every content point to one key and value of each style block (eq. 7-9).

    Maps q [b, h, n, r, d] and k, v [b, h, m, r, d], zero where not `real`, to [b, h, n, r, d].
    """
    count = k.shape[3] if real is None else real.sum(1)[:, None, None].to(k)  # m 1 1
    k_mean = k.sum(3, keepdim=True) / count  # b h m 1 d
    v_mean = v.sum(3, keepdim=True) / count
    similarity = k_mean @ k.mT  # b h m 1 r
    gate = torch.sigmoid(beta + alpha * similarity)
    k_hat = (k_mean + gate @ k) / (count + 1)  # filling adds nothing: k and v are zero there
    v_hat = (v_mean + gate @ v) / (count + 1)
    out = attend(q.flatten(2, 3), k_hat.squeeze(3), v_hat.squeeze(3))
    return out.unflatten(2, q.shape[2:4])


def progressive_attention(q, k, v, real, index=None) -> tuple[Tensor, Tensor]:
    """Attends from every content block to the points of its best style block (eq. 10-12).

    Args:
      q: `[b, h, n, r, d]`, zero at the filling, like k.
      k: `[b, h, m, r, d]`.
      v: `[b, h, m, r, d]`.
      real: `[m, r]`, the style points that are not filling; None if all are.
      index: the style block of each content block, `[n]`, instead of the best one.

    Returns:
      The attended values `[b, h, n, r, d]` and the style block of each content block, `[b, h, n]`.
    """
    b, h, m = k.shape[:3]
    if index is None:
        index = (q.flatten(3) @ k.flatten(3).mT).argmax(3)
    else:
        index = index.expand(b, h, -1)
    flat = (index + m * torch.arange(b * h, device=k.device).reshape(b, h, 1)).flatten()
    k, v = (x.flatten(0, 2).index_select(0, flat).unflatten(0, (b, -1)) for x in (k, v))
    mask = None if real is None else real[index.flatten(1)].unsqueeze(2)
    # Four axes, [b, hn, r, d], are what the fused kernels take.
    return attend(q.flatten(1, 2), k, v, mask).unflatten(1, q.shape[1:3]), index


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """Returns softmax(q k^T) v, without a scale factor."""
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=1.0)


def same_place(content: tuple[int, int], style: tuple[int, int], side: int, device) -> Tensor:
    """Lists for each content block the style block at the same relative place."""
    (n_y, n_x), (m_y, m_x) = ([-(-size // side) for size in map_] for map_ in (content, style))
    rows = torch.arange(n_y, device=device) * m_y // n_y
    cols = torch.arange(n_x, device=device) * m_x // n_x
    return (rows[:, None] * m_x + cols).flatten()


# ---------------------------------------------------------------- modules


class A2K(nn.Module):
    """All-to-key attention on one tap, with the released keys."""

    def __init__(self, weights: State, block_size: int, heads: int = HEADS, variant: str = "full"):
        super().__init__()
        if variant not in VARIANTS:
            raise ValueError(f"variant {variant!r} is none of {', '.join(VARIANTS)}.")
        self.block_size, self.variant = block_size, variant
        self.heads = 1 if variant == "single_head" else heads
        for name in ("sim_alpha", "sim_beta"):
            self.register_parameter(name, nn.Parameter(torch.as_tensor(np.array(weights[name]))))
        for name in ("q", "k", "v", "q2", "k2", "v2", "fusion1", "fusion2"):
            if f"{name}.weight" in weights:  # a variant may come without the other path
                self.add_module(name, conv(weights, name))

    def forward(self, f_c: Tensor, f_s: Tensor) -> Tensor:
        return self.with_index(f_c, f_s)[0]

    def with_index(self, f_c: Tensor, f_s: Tensor) -> tuple[Tensor, Tensor | None]:
        """Maps f_c and f_s, each of its own size, to F_cs and the blocks chosen, [b, h, n]."""
        normal_c, normal_s = normalize(f_c), normalize(f_s)
        if self.variant == "all_to_all":
            q, k, v = self.q(normal_c), self.k(normal_s), self.v(f_s)
            q, k, v = (x.unflatten(1, (self.heads, -1)).flatten(3).mT for x in (q, k, v))
            out = attend(q, k, v).mT.reshape(f_c.shape)
            return self.fusion1(out) + f_c, None

        side, size_c, size_s = self.block_size, f_c.shape[2:], f_s.shape[2:]
        real = real_points(*size_s, side, f_s.device)
        f_cs, index = f_c, None
        if self.variant != "no_da":
            q, k, v = self._blocks(self.q(normal_c), self.k(normal_s), self.v(f_s))
            out = distributed_attention(q, k, v, real, self.sim_alpha, self.sim_beta)
            f_cs = f_cs + self.fusion1(from_blocks(out, side, *size_c))
        if self.variant != "no_pa":
            q, k, v = self._blocks(self.q2(normal_c), self.k2(normal_s), self.v2(f_s))
            if self.variant == "no_pa_step1":
                index = same_place(size_c, size_s, side, f_c.device)
            out, index = progressive_attention(q, k, v, real, index)
            f_cs = f_cs + self.fusion2(from_blocks(out, side, *size_c))
        return f_cs, index

    def _blocks(self, *maps: Tensor) -> list[Tensor]:
        return [to_blocks(x, self.block_size, self.heads) for x in maps]


class Encoder(nn.ModuleDict):
    """VGG-19 up to relu5_1, frozen."""

    def __init__(self, weights: State, pooling: str = "max"):
        super().__init__({name: conv(weights, name) for name, _ in (("0", ""), *ENCODER)})
        self.pool = {"max": F.max_pool2d, "avg": F.avg_pool2d}[pooling]
        self.requires_grad_(False)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        x, taps = self["0"](image), {}
        for name, then in ENCODER:
            x = F.relu(self[name](reflect(x)))
            if then == "pool":
                x = self.pool(x, 2, stride=2, ceil_mode=True)
            elif then:
                taps[then] = x
        return taps


class Transform(nn.Module):
    """The attention on relu4_1 and relu5_1 and the merge of their results."""

    def __init__(self, weights: State, **options):
        super().__init__()
        for tap, name in (("relu4_1", "attn_adain_4_1"), ("relu5_1", "attn_adain_5_1")):
            own = {k.removeprefix(f"{name}."): w for k, w in weights.items() if k.startswith(name)}
            self.add_module(name, A2K(own, BLOCK_SIZE[tap], **options))
        self.merge_conv = conv(weights, "merge_conv")

    def forward(self, taps_c: dict[str, Tensor], taps_s: dict[str, Tensor]) -> Tensor:
        relu4 = self.attn_adain_4_1(taps_c["relu4_1"], taps_s["relu4_1"])
        relu5 = self.attn_adain_5_1(taps_c["relu5_1"], taps_s["relu5_1"])
        return self.merge(relu4, relu5)

    def merge(self, relu4: Tensor, relu5: Tensor) -> Tensor:
        return self.merge_conv(reflect(relu4 + upsample(relu5, like=relu4)))


class Decoder(nn.Module):
    """Merged relu4_1 and attended relu3_1 to an image; the content's taps give the sizes."""

    def __init__(self, weights: State):
        super().__init__()
        self.decoder_layer_1 = nn.ModuleDict({"1": conv(weights, "decoder_layer_1.1")})
        names = ("1", "4", "7", "10", "14", "17", "21", "24")
        self.decoder_layer_2 = nn.ModuleDict(
            {name: conv(weights, f"decoder_layer_2.{name}") for name in names}
        )

    def forward(self, merged: Tensor, relu3: Tensor, taps_c: dict[str, Tensor]) -> Tensor:
        x = F.relu(self.decoder_layer_1["1"](reflect(merged)))
        x = torch.cat([upsample(x, like=relu3), relu3], dim=1)
        for name, layer in self.decoder_layer_2.items():
            x = layer(reflect(x))
            if name != "24":
                x = F.relu(x)
            if name == "10":
                x = upsample(x, like=taps_c["relu2_1"])
            elif name == "17":
                x = upsample(x, like=taps_c["relu1_1"])
        return x


class StyA2K(nn.Module):
    """Content and style images in [0, 1], [b, 3, H, W], to the unclipped stylized image."""

    def __init__(self, weights: Mapping[str, State], pooling: str = "max", **options):
        super().__init__()
        self.vgg = Encoder(weights["vgg"], pooling)
        self.A2K = A2K(weights["A2K"], BLOCK_SIZE["relu3_1"], **options)
        self.transform = Transform(weights["transform"], **options)
        self.decoder = Decoder(weights["decoder"])

    def encode(self, image: Tensor) -> dict[str, Tensor]:
        """Returns the five taps of an image."""
        return self.vgg(image)

    def transfer(self, taps_c: dict[str, Tensor], taps_s: dict[str, Tensor]) -> Tensor:
        """Returns the stylized image of a content's and a style's taps."""
        relu3 = self.A2K(taps_c["relu3_1"], taps_s["relu3_1"])
        return self.decoder(self.transform(taps_c, taps_s), relu3, taps_c)

    def forward(self, content: Tensor, style: Tensor) -> Tensor:
        return self.transfer(self.encode(content), self.encode(style))


def build(weights: Mapping[str, State], dtype: torch.dtype = torch.float32, **options) -> StyA2K:
    """Makes the model of four dicts of weights; options are `variant`, `heads` and `pooling`."""
    return StyA2K(weights, **options).to(dtype)


def from_nhwc(array: np.ndarray, dtype: torch.dtype = torch.float32) -> Tensor:
    """Turns an NHWC array into an NCHW tensor; bytes become [0, 1]."""
    x = torch.as_tensor(np.array(array)).permute(0, 3, 1, 2)
    return (x.to(dtype) / 255 if x.dtype == torch.uint8 else x.to(dtype)).contiguous()


def to_nhwc(x: Tensor) -> np.ndarray:
    """Turns an NCHW tensor into an NHWC array; bfloat16 becomes float32."""
    x = x.detach().cpu()
    return (x.float() if x.dtype == torch.bfloat16 else x).permute(0, 2, 3, 1).numpy()


# ---------------------------------------------------------------- losses and training


def a2k_targets(taps_c: dict[str, Tensor], taps_s: dict[str, Tensor]) -> dict[str, Tensor]:
    """Returns T_l of relu2_1 to relu5_1: attention without parameters, on stacked taps."""
    targets = {}
    for level, tap in enumerate(TAPS[1:], start=2):
        side, f_c, f_s = BLOCK_SIZE[tap], taps_c[tap], taps_s[tap]
        q, k = (stack_normalized(taps, TAPS[:level]) for taps in (taps_c, taps_s))
        q, k, v = (to_blocks(x, side, HEADS) for x in (q, k, f_s))
        real = real_points(*f_s.shape[2:], side, f_s.device)
        out = distributed_attention(q, k, v, real, 1.0, 0.0)
        out = out + progressive_attention(q, k, v, real)[0]
        targets[tap] = from_blocks(out, side, *f_c.shape[2:]) + f_c
    return targets


def stack_normalized(taps: dict[str, Tensor], names: tuple[str, ...]) -> Tensor:
    """Concatenates taps along the channels, each resized to the last one and normalized."""
    size = taps[names[-1]].shape[2:]
    return torch.cat([normalize(resize_nearest(taps[name], *size)) for name in names], dim=1)


def distance(x: Tensor, y: Tensor, norm: str = "mse") -> Tensor:
    """Returns the mean square over all elements, or the mean over images of the Euclidean norm."""
    if norm == "mse":
        return F.mse_loss(x, y)
    return (x - y).flatten(1).norm(dim=1).mean()


def loss_global(taps_cs, taps_s, norm: str = "mse") -> Tensor:
    """Compares means and deviations of relu1_1 to relu4_1 with the style's."""
    return sum(
        distance(x, y, norm)
        for tap in TAPS[:4]
        for x, y in zip(mean_and_std(taps_cs[tap]), mean_and_std(taps_s[tap]), strict=True)
    )


def loss_a2k(taps_cs, targets, norm: str = "mse") -> Tensor:
    """Compares relu2_1 to relu5_1 with the targets of `a2k_targets`."""
    return sum(distance(taps_cs[tap], targets[tap], norm) for tap in TAPS[1:])


def loss_content(taps_cs, taps_c) -> Tensor:
    """Compares normalized relu4_1 and relu5_1 with the content's; off in the released total."""
    return sum(F.mse_loss(normalize(taps_cs[tap]), normalize(taps_c[tap])) for tap in TAPS[3:])


class Trainer:
    """Adam on everything but the encoder, which also gives the losses their features."""

    def __init__(self, weights: Mapping[str, State], learning_rate: float, dtype=torch.float32):
        self.model = build(weights, dtype)
        self.trainable = [p for p in self.model.parameters() if p.requires_grad]
        self.adam = torch.optim.Adam(self.trainable, lr=learning_rate)

    def step(self, content: torch.Tensor, style: torch.Tensor) -> list[torch.Tensor]:
        """Makes one step.

        Returns:
          Total, weighted global, weighted a2k, and the norm of the gradient over all trainable
          parameters, measured before the update.
        """
        model = self.model
        with torch.no_grad():
            taps_c, taps_s = model.encode(content), model.encode(style)
            targets = a2k_targets(taps_c, taps_s)
        taps_cs = model.encode(model.transfer(taps_c, taps_s))
        weighted_global = LAMBDA_GLOBAL * loss_global(taps_cs, taps_s)
        weighted_a2k = LAMBDA_A2K * loss_a2k(taps_cs, targets)
        total = weighted_global + weighted_a2k
        self.adam.zero_grad()
        total.backward()
        norm = nn.utils.get_total_norm([p.grad for p in self.trainable])
        self.adam.step()
        return [total, weighted_global, weighted_a2k, norm]


def training_rows(
    weights: Mapping[str, State],
    content: np.ndarray,
    style: np.ndarray,
    learning_rate: float,
    steps: int,
    dtype: torch.dtype = torch.float32,
) -> tuple[np.ndarray, dict[str, dict[str, np.ndarray]]]:
    """Trains on pictures 2i and 2i + 1 in step i, the model's own encoder giving the losses.

    Returns:
      One row for each step (total, weighted global, weighted a2k, norm of the gradient over all
      trainable parameters), measured before the step's update, and the weights after the last.
    """
    trainer, rows = Trainer(weights, learning_rate, dtype), []
    for i in range(steps):
        pair = slice(2 * i, 2 * i + 2)
        row = trainer.step(from_nhwc(content[pair], dtype), from_nhwc(style[pair], dtype))
        rows.append([x.item() for x in row])
    modules = {module: getattr(trainer.model, module) for module in weights}
    final = {
        module: {key: value.numpy() for key, value in part.state_dict().items()}
        for module, part in modules.items()
    }
    return np.array(rows), final
