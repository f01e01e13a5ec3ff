"""The PyTorch reference with a kept style, as far as its modules allow."""

import copy

import torch

from tests.support import torch_reference


class KeptStyle(torch.nn.Module):
    """The reference with one style, whose taps, keys and values are computed once."""

    def __init__(self, model: torch_reference.StyA2K, style: torch.Tensor):
        super().__init__()
        self.model = copy.deepcopy(model)
        self.taps_s = self.model.encode(style)
        transform = self.model.transform
        modules = (self.model.A2K, transform.attn_adain_4_1, transform.attn_adain_5_1)
        for tap, module in zip(("relu3_1", "relu4_1", "relu5_1"), modules, strict=True):
            f_s = self.taps_s[tap]
            normal_s = torch_reference.normalize(f_s)
            for name, x in (("k", normal_s), ("v", f_s), ("k2", normal_s), ("v2", f_s)):
                setattr(module, name, Known(getattr(module, name)(x)))

    def forward(self, content: torch.Tensor) -> torch.Tensor:
        """Maps contents `[b, 3, H, W]` to pictures."""
        return self.model.transfer(self.model.encode(content), self.taps_s)


class Known(torch.nn.Module):
    """Takes the place of a layer whose result is known."""

    def __init__(self, result: torch.Tensor):
        super().__init__()
        self.register_buffer("result", result)

    def forward(self, _: torch.Tensor) -> torch.Tensor:
        """Returns the known result."""
        return self.result
