"""StyA2K said again in NumPy, one picture at a time, with the loops that the description has.

Blocks are lists of the points that exist; nothing is padded and nothing is masked, which makes
this an independent statement of how partial blocks behave. Features are HWC and float64. Far too
slow for anything but small pictures and narrow models.
"""

import numpy as np

TAPS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
BLOCK_SIZE = {"relu2_1": 16, "relu3_1": 8, "relu4_1": 8, "relu5_1": 4}  # a side, in points
EPS = 1e-5
ENCODER = """
    2 relu1_1 5 pool 9 relu2_1 12 pool 16 relu3_1 19 22 25 pool 29 relu4_1 32 35 38 pool 42 relu5_1
"""  # a number is a 3x3 convolution and its ReLU

Weights = dict[str, np.ndarray]  # PyTorch key -> array (OIHW)
Block = dict[tuple[int, int], tuple[int, int]]  # place within the block -> place in the map


# ---------------------------------------------------------------- layers


def point_conv(weights: Weights, name: str, x: np.ndarray) -> np.ndarray:
    """Applies a 1x1 convolution."""
    matrix = weights[f"{name}.weight"][:, :, 0, 0].astype(np.float64)
    return x @ matrix.T + weights[f"{name}.bias"]


def conv(weights: Weights, name: str, x: np.ndarray) -> np.ndarray:
    """Applies a 3x3 convolution whose neighbours beyond the border are reflected."""
    kernel = weights[f"{name}.weight"].astype(np.float64)
    height, width = x.shape[:2]
    out = np.zeros((height, width, kernel.shape[0])) + weights[f"{name}.bias"]
    for dy in (-1, 0, 1):
        rows = [reflected(y + dy, height) for y in range(height)]
        for dx in (-1, 0, 1):
            cols = [reflected(x_ + dx, width) for x_ in range(width)]
            out += x[rows][:, cols] @ kernel[:, :, dy + 1, dx + 1].T
    return out


def reflected(i: int, length: int) -> int:
    """Brings an index that is off by at most one back inside; a single point repeats itself."""
    if length == 1:
        return 0
    return 1 if i == -1 else length - 2 if i == length else i


def relu(x: np.ndarray) -> np.ndarray:
    """Returns the positive part."""
    return np.maximum(x, 0)


def pool(x: np.ndarray, pooling: str = "max") -> np.ndarray:
    """Halves a map; the last windows of an odd side take what they have."""
    take = {"max": np.max, "avg": np.mean}[pooling]
    return np.array(
        [
            [take(x[y : y + 2, x_ : x_ + 2], axis=(0, 1)) for x_ in range(0, x.shape[1], 2)]
            for y in range(0, x.shape[0], 2)
        ]
    )


def mean_and_std(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns each channel's mean and deviation over all points, [c]; one point does not vary."""
    points = x.shape[0] * x.shape[1]
    mean = x.sum((0, 1)) / points
    var = ((x - mean) ** 2).sum((0, 1)) / (points - 1) if points > 1 else np.zeros_like(mean)
    return mean, np.sqrt(var + EPS)


def normalize(x: np.ndarray) -> np.ndarray:
    """Returns N(x)."""
    mean, std = mean_and_std(x)
    return (x - mean) / std


def upsample_crop(x: np.ndarray, height: int, width: int) -> np.ndarray:
    """Repeats every point twice along both axes, keeping the first rows and columns."""
    return np.array([[x[y // 2, x_ // 2] for x_ in range(width)] for y in range(height)])


def resize_nearest(x: np.ndarray, height: int, width: int) -> np.ndarray:
    """Picks the point floor(i * in / out) of each axis."""
    rows = [y * x.shape[0] // height for y in range(height)]
    cols = [x_ * x.shape[1] // width for x_ in range(width)]
    return x[rows][:, cols]


# ---------------------------------------------------------------- attention, without weights


def blocks(height: int, width: int, side: int) -> list[Block]:
    """Lists the blocks of a map row by row, each with its real points row by row."""
    return [
        {
            (y - top, x - left): (y, x)
            for y in range(top, min(top + side, height))
            for x in range(left, min(left + side, width))
        }
        for top in range(0, height, side)
        for left in range(0, width, side)
    ]


def split_heads(x: np.ndarray, heads: int) -> np.ndarray:
    """Cuts the channels into consecutive runs: [H, W, c] -> [heads, H, W, d]."""
    return np.stack(np.split(x, heads, axis=2))


def softmax(logits: np.ndarray) -> np.ndarray:
    """Returns the weights of a vector of logits."""
    weights = np.exp(logits - logits.max())
    return weights / weights.sum()


def gather(x: np.ndarray, points) -> np.ndarray:
    """Returns the listed points of a map, [r, d]."""
    return np.array([x[point] for point in points])


def all_to_all_attention(q: np.ndarray, k: np.ndarray, v: np.ndarray, heads: int) -> np.ndarray:
    """Every content point looks at every style point."""
    out = np.empty((*q.shape[:2], v.shape[2]))
    q, k, v, by_head = (split_heads(x, heads) for x in (q, k, v, out))
    for h in range(heads):
        keys, values = k[h].reshape(-1, k.shape[3]), v[h].reshape(-1, v.shape[3])
        for point in np.ndindex(q.shape[1:3]):
            by_head[h][point] = softmax(keys @ q[h][point]) @ values
    return np.concatenate(by_head, axis=2)


def distributed_attention(q, k, v, side, heads, alpha=1.0, beta=0.0) -> np.ndarray:
    """Every content point looks at one key and value of each style block (eq. 7-9)."""
    q, k, v = (split_heads(x, heads) for x in (q, k, v))
    out = np.empty((*q.shape[:3], v.shape[3]))
    for h in range(heads):
        k_hats, v_hats = [], []
        for block in blocks(*k.shape[1:3], side):
            r = len(block)
            k_mean = sum(k[h][point] for point in block.values()) / r
            v_mean = sum(v[h][point] for point in block.values()) / r
            k_hat, v_hat = k_mean.copy(), v_mean.copy()
            for point in block.values():
                gate = 1 / (1 + np.exp(-(beta + alpha * (k_mean @ k[h][point]))))
                k_hat += gate * k[h][point]
                v_hat += gate * v[h][point]
            k_hats.append(k_hat / (r + 1))
            v_hats.append(v_hat / (r + 1))
        for point in np.ndindex(q.shape[1:3]):
            logits = np.array([q[h][point] @ k_hat for k_hat in k_hats])
            out[h][point] = softmax(logits) @ np.array(v_hats)
    return np.concatenate(out, axis=2)


def block_scores(q: np.ndarray, k: np.ndarray, side: int, heads: int) -> np.ndarray:
    """Scores each content block against each style block, [heads, n, m] (eq. 10)."""
    q, k = split_heads(q, heads), split_heads(k, heads)
    blocks_c, blocks_s = blocks(*q.shape[1:3], side), blocks(*k.shape[1:3], side)
    scores = np.zeros((heads, len(blocks_c), len(blocks_s)))
    for i, block_c in enumerate(blocks_c):
        for j, block_s in enumerate(blocks_s):
            shared = [place for place in block_c if place in block_s]
            for h in range(heads):
                q_r = gather(q[h], [block_c[place] for place in shared])
                k_r = gather(k[h], [block_s[place] for place in shared])
                scores[h, i, j] = (q_r * k_r).sum()
    return scores


def look_into_blocks(q, k, v, side, heads, index) -> np.ndarray:
    """Every content point looks at the points of its block's style block (eq. 11-12)."""
    q, k, v = (split_heads(x, heads) for x in (q, k, v))
    out = np.empty((*q.shape[:3], v.shape[3]))
    blocks_s = blocks(*k.shape[1:3], side)
    for i, block_c in enumerate(blocks(*q.shape[1:3], side)):
        for h in range(heads):
            chosen = blocks_s[index[h, i]].values()
            keys, values = gather(k[h], chosen), gather(v[h], chosen)
            for point in block_c.values():
                out[h][point] = softmax(keys @ q[h][point]) @ values
    return np.concatenate(out, axis=2)


def same_place(content: tuple[int, int], style: tuple[int, int], side: int) -> list[int]:
    """Lists for each content block the style block at the same relative place."""
    (n_y, n_x), (m_y, m_x) = ([-(-size // side) for size in map_] for map_ in (content, style))
    return [i * m_y // n_y * m_x + j * m_x // n_x for i in range(n_y) for j in range(n_x)]


# ---------------------------------------------------------------- the model


def encode(weights: Weights, image: np.ndarray, pooling: str = "max") -> dict[str, np.ndarray]:
    """Returns the five taps of an image in [0, 1], HWC."""
    x, taps = point_conv(weights, "0", np.asarray(image, np.float64)), {}
    for word in ENCODER.split():
        if word == "pool":
            x = pool(x, pooling)
        elif word in TAPS:
            taps[word] = x
        else:
            x = relu(conv(weights, word, x))
    return taps


def a2k(weights, f_c, f_s, block_size, heads=8, variant="full", choose=None):
    """Attends on one tap.

    Args:
      weights: of this module, without prefix.
      f_c: content features, HWC.
      f_s: style features, HWC, of any size.
      block_size: the side of a block, in points.
      heads: how many parts the channels are split into.
      variant: `full`, `all_to_all`, `no_da`, `no_pa`, `no_pa_step1` or `single_head`.
      choose: `[heads, n]`, the style block of each content block, instead of the best.

    Returns:
      F_cs like f_c; the style block of each content block, `[heads, n]`; the scores `[heads, n, m]`
      it is the argmax of, by which a test sees a near tie. None where the variant has no such step.
    """
    heads = 1 if variant == "single_head" else heads
    alpha, beta = (float(np.squeeze(weights[name])) for name in ("sim_alpha", "sim_beta"))
    f_cs, index, scores = f_c, None, None

    def project(q: str, k: str, v: str) -> list[np.ndarray]:
        inputs = {q: normalize(f_c), k: normalize(f_s), v: f_s}
        return [point_conv(weights, name, x) for name, x in inputs.items()]

    if variant == "all_to_all":
        out = all_to_all_attention(*project("q", "k", "v"), heads)
        return f_cs + point_conv(weights, "fusion1", out), index, scores

    if variant != "no_da":
        out = distributed_attention(*project("q", "k", "v"), block_size, heads, alpha, beta)
        f_cs = f_cs + point_conv(weights, "fusion1", out)

    if variant != "no_pa":
        q, k, v = project("q2", "k2", "v2")
        if variant == "no_pa_step1":
            index = np.array([same_place(f_c.shape[:2], f_s.shape[:2], block_size)] * heads)
        else:
            scores = block_scores(q, k, block_size, heads)
            index = scores.argmax(2) if choose is None else np.asarray(choose)
        out = look_into_blocks(q, k, v, block_size, heads, index)
        f_cs = f_cs + point_conv(weights, "fusion2", out)
    return f_cs, index, scores


def merge_and_decode(weights, relu3, relu4, relu5, height, width) -> np.ndarray:
    """Turns the three attended taps into the unclipped image of `height` x `width`."""
    merged = relu4 + upsample_crop(relu5, *relu4.shape[:2])
    merged = conv(weights["transform"], "merge_conv", merged)
    decoder = weights["decoder"]
    x = relu(conv(decoder, "decoder_layer_1.1", merged))
    x = np.concatenate([upsample_crop(x, *relu3.shape[:2]), relu3], axis=2)
    for number in (1, 4, 7, 10):
        x = relu(conv(decoder, f"decoder_layer_2.{number}", x))
    x = upsample_crop(x, -(-height // 2), -(-width // 2))
    for number in (14, 17):
        x = relu(conv(decoder, f"decoder_layer_2.{number}", x))
    x = upsample_crop(x, height, width)
    x = relu(conv(decoder, "decoder_layer_2.21", x))
    return conv(decoder, "decoder_layer_2.24", x)


def forward(weights, content, style, variant="full", heads=8, pooling="max", choose=None):
    """Stylizes an image in [0, 1], HWC, by another of any size.

    Args:
      weights: "vgg", "A2K", "transform" and "decoder", each a dict of PyTorch keys.
      content: the image to stylize.
      style: the image to take the style from.
      variant: as in `a2k`.
      heads: as in `a2k`.
      pooling: of the encoder, `max` or `avg`.
      choose: tap -> the style blocks `[heads, n]`, for taps where the best ones are overruled.

    Returns:
      The unclipped image, and for each tap the index and scores that `a2k` returns.
    """
    taps_c, taps_s = (encode(weights["vgg"], image, pooling) for image in (content, style))
    f_cs, choices, choose = {}, {}, choose or {}
    for tap, own in tap_weights(weights).items():
        f_cs[tap], *choices[tap] = a2k(
            own, taps_c[tap], taps_s[tap], BLOCK_SIZE[tap], heads, variant, choose.get(tap)
        )
    image = merge_and_decode(weights, *f_cs.values(), *content.shape[:2])
    return image, choices


def tap_weights(weights: dict[str, Weights]) -> dict[str, Weights]:
    """Returns the weights of the attention on each tap, without prefix."""

    def part(prefix: str) -> Weights:
        found = weights["transform"].items()
        return {key.removeprefix(prefix): w for key, w in found if key.startswith(prefix)}

    relu4, relu5 = part("attn_adain_4_1."), part("attn_adain_5_1.")
    return {"relu3_1": weights["A2K"], "relu4_1": relu4, "relu5_1": relu5}


# ---------------------------------------------------------------- losses


def a2k_targets(taps_c, taps_s, heads=8, choose=None) -> dict[str, np.ndarray]:
    """Returns T_l of relu2_1 to relu5_1, attention without parameters on all taps up to l."""
    targets = {}
    for level, tap in enumerate(TAPS[1:], start=2):
        f_c, f_s, side = taps_c[tap], taps_s[tap], BLOCK_SIZE[tap]
        q = stack_normalized(taps_c, TAPS[:level])
        k = stack_normalized(taps_s, TAPS[:level])
        index = (choose or {}).get(tap)
        if index is None:
            index = block_scores(q, k, side, heads).argmax(2)
        distributed = distributed_attention(q, k, f_s, side, heads)
        progressive = look_into_blocks(q, k, f_s, side, heads, index)
        targets[tap] = distributed + progressive + f_c
    return targets


def stack_normalized(taps: dict[str, np.ndarray], names: tuple[str, ...]) -> np.ndarray:
    """Concatenates taps along the channels, each resized to the last one and normalized."""
    size = taps[names[-1]].shape[:2]
    return np.concatenate([normalize(resize_nearest(taps[name], *size)) for name in names], axis=2)


def losses(taps_cs, taps_c, taps_s, targets=None, norm="mse") -> dict[str, float]:
    """Returns "global", "a2k" and "content" of one picture, before their weights.

    Args:
      taps_cs: the taps of the stylized image.
      taps_c: the taps of the content.
      taps_s: the taps of the style.
      targets: what `a2k_targets` returns, if at hand.
      norm: `mse` or `l2`, for the first two losses. Over several pictures both average.
    """

    def distance(x, y, norm=norm):
        return np.mean((x - y) ** 2) if norm == "mse" else np.sqrt(np.sum((x - y) ** 2))

    targets = a2k_targets(taps_c, taps_s) if targets is None else targets
    total = {"global": 0.0, "a2k": 0.0, "content": 0.0}
    for tap in ("relu1_1", "relu2_1", "relu3_1", "relu4_1"):
        (mean, std), (mean_s, std_s) = mean_and_std(taps_cs[tap]), mean_and_std(taps_s[tap])
        total["global"] += distance(mean, mean_s) + distance(std, std_s)
    for tap in ("relu2_1", "relu3_1", "relu4_1", "relu5_1"):
        total["a2k"] += distance(taps_cs[tap], targets[tap])
    for tap in ("relu4_1", "relu5_1"):
        total["content"] += distance(normalize(taps_cs[tap]), normalize(taps_c[tap]), "mse")
    return total
