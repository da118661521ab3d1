"""The attention cache of the instruction, computed once and shared by every batch."""

import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from transformers import DynamicCache


class SharedPrefix:
    """The keys and values of a prefix in every layer of a model.

    Only plain caches are shared, which grow by one entry per token. Models that keep a window or a
    recurrent state (Gemma, Mamba) read the prefix anew in each batch, with the same result.

    Attributes:
        ids: The prefix.
        is_shared: Whether the cache is reused.
    """

    def __init__(self, model: Any, ids: Sequence[int]) -> None:  # noqa: ANN401 (a PreTrainedModel)
        """Read the prefix once."""
        self.ids = list(ids)
        self._layers: list[tuple[torch.Tensor, torch.Tensor]] = []
        if self.ids:
            self._layers = _plain_layers(_read(model, self.ids))
        self.is_shared = bool(self._layers)

    def read(self, model: Any, rows: Sequence[Sequence[int]]) -> "torch.Tensor":  # noqa: ANN401 (torch's)
        """Return the model's logits at the last token of each row, after the prefix.

        Args:
            model: The one that the prefix was read by, on its device.
            rows: Token ids that follow the prefix, none empty, of any lengths. Shorter ones are
                padded on the right, where no token of theirs looks.

        Returns:
            Shape (n_rows, n_outputs).
        """
        import torch

        whole = rows if self.is_shared else [[*self.ids, *row] for row in rows]
        lengths = torch.tensor([len(row) for row in whole])
        ids = torch.zeros(len(whole), int(lengths.max()), dtype=torch.long)
        for place, row in enumerate(whole):
            ids[place, : len(row)] = torch.tensor(row)
        options: dict[str, Any] = {"use_cache": False}
        if self.is_shared:
            options = {"use_cache": True, _cache_name(model): self._cache(len(whole))}
        logits: torch.Tensor = model(input_ids=ids.to(model.device), **options).logits
        return logits[torch.arange(len(whole)), (lengths - 1).to(logits.device)]

    def _cache(self, n_rows: int) -> "DynamicCache":
        from transformers import DynamicCache

        cache = DynamicCache()
        for place, (keys, values) in enumerate(self._layers):
            shape = (n_rows, -1, -1, -1)
            cache.update(keys.expand(shape), values.expand(shape), place)
        return cache


def _cache_name(model: Any) -> str:  # noqa: ANN401 (a PreTrainedModel)
    """Return the name under which a model takes and returns its attention cache.

    transformers renamed ``past_key_values`` to ``cache``, model by model, from release 5.24 on.
    """
    return "cache" if "cache" in inspect.signature(model.forward).parameters else "past_key_values"


def _read(model: Any, ids: Sequence[int]) -> object:  # noqa: ANN401 (torch's)
    import torch

    with torch.inference_mode():
        answer = model(input_ids=torch.tensor([list(ids)], device=model.device), use_cache=True)
    return getattr(answer, _cache_name(model), None)


def _plain_layers(cache: object) -> "list[tuple[torch.Tensor, torch.Tensor]]":
    """Return keys and values per layer, shape (1, n_heads, n_tokens, n_dims); none if not plain."""
    from transformers import DynamicCache
    from transformers.cache_utils import DynamicLayer

    if not isinstance(cache, DynamicCache):
        return []
    layers: list[Any] = cache.layers
    if not all(type(layer) is DynamicLayer for layer in layers):
        return []
    return [(layer.keys, layer.values) for layer in layers]
