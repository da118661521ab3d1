"""The causal LM router: an instruction with the query, and the label that the model puts next.

P(strong wins) = P([[strong]]) + P([[tie]]) / 2, by the softmax over the label tokens at the place
after the instruction: Ong et al. (2024), section 4.2. Training is in ``routecast.train.causal``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from routecast.embed.protocol import Cut, Embedder
from routecast.errors import ArtifactError
from routecast.routers.binding import refuse_overlap
from routecast.routers.causal_head import find_label_ids, keep_label_rows
from routecast.routers.causal_labels import GOOD_GRADE, LabelSet, find_labels
from routecast.routers.causal_loading import load_causal_lm
from routecast.routers.causal_prefix import SharedPrefix
from routecast.routers.causal_prompts import open_prompt_windows
from routecast.routers.causal_template import Template
from routecast.routers.length_batches import score_by_length
from routecast.routers.model_folder import ModelFolder
from routecast.routers.stored_model import StoredModel
from routecast.routers.token_windows import TokenWindows
from routecast.types import AnyArray, FloatArray, IntArray

FEATURE = "the router 'causal'"


@dataclass(frozen=True, eq=False)
class CausalClassifier:
    """What training found: a causal LM in a folder, and how it is asked.

    Attributes:
        folder: Weights and tokenizer, with the labels in the vocabulary.
        labels: What it answers.
        template: The instruction.
        length: Tokens that it reads at most, instruction and query.
        device: Where it runs; None picks.
    """

    folder: ModelFolder
    labels: LabelSet
    template: Template
    length: int
    device: str | None = None

    def bind(
        self,
        *,
        strong: Sequence[str],
        weak: Sequence[str],
        embedder: Embedder,  # noqa: ARG002 (it reads texts)
    ) -> "BoundCausal":
        """Load the model; it knows the one pair that it was trained on, whatever the names are.

        Raises:
            ArtifactError: If the folder is damaged, or its vocabulary lacks a label.
            ConfigError: If there is no such device.
            MissingExtraError: If torch or transformers is not installed.
        """
        refuse_overlap(strong, weak)
        model = load_causal_lm(self.folder.path, device=self.device, feature=FEATURE)
        windows = open_prompt_windows(self.folder.path, self.template, length=self.length)
        return BoundCausal(model, windows, self.labels, keep=self.folder)

    def tensors(self) -> dict[str, AnyArray]:
        """Return no array: everything is in the folder."""
        return {}

    def model_folder(self) -> ModelFolder:
        """Return the folder that an artifact copies."""
        return self.folder

    def record(self) -> dict[str, Any]:
        """Return what a manifest needs beside the settings; see `stored`."""
        return {"instruction": [self.template.prefix, self.template.suffix]}

    @classmethod
    def stored(cls, stored: StoredModel) -> Self:
        """Take from an artifact what training put there.

        Raises:
            ArtifactError: If a part is missing.
        """
        settings: Mapping[str, Any] = stored.settings
        try:
            prefix, suffix = settings["instruction"]
            length, name = int(settings["length"]), str(settings["labels"])
        except (KeyError, TypeError, ValueError) as error:
            raise ArtifactError(
                f"the manifest's settings of a causal router are unusable: {error!r}; train it "
                "again"
            ) from None
        return cls(
            folder=stored.require_folder(),
            labels=find_labels(name, good_grade=settings.get("good_grade", GOOD_GRADE)),
            template=Template(prefix, suffix),
            length=length,
            device=stored.device,
        )


class BoundCausal:
    """Turns prompts into win probabilities. Safe to share between threads.

    The instruction's attention cache is computed once; prompts go in batches of about one length;
    of the output layer, only the labels' rows are computed. Equal texts of a call are read once.
    """

    def __init__(
        self,
        model: Any,  # noqa: ANN401 (a PreTrainedModel, whose class torch has)
        windows: TokenWindows,
        labels: LabelSet,
        *,
        keep: object = None,
    ) -> None:
        """Serve a loaded model, whose output layer is cut down to the labels here.

        Args:
            model: In evaluation mode, on its device.
            windows: Of its tokenizer, with the instruction.
            labels: Tokens of its vocabulary.
            keep: Whatever must live as long as the model.

        Raises:
            ArtifactError: If the vocabulary lacks a label.
        """
        label_ids = find_label_ids(windows.tokenizer, labels.tokens)
        self._columns = keep_label_rows(model, label_ids)
        self._model = model
        self._windows = windows
        self._labels = labels
        self._prefix = SharedPrefix(model, windows.prefix)
        self._keep = keep

    def win_probabilities(self, prompts: Sequence[str]) -> FloatArray:
        """Return P(strong wins) per prompt, shape (n_prompts,), in [0, 1]; it never abstains.

        A prompt's score depends on the others of its call by no more than rounding.

        Raises:
            ConfigError: If one prompt alone does not fit into memory.
        """
        return self._labels.win_probabilities(self.label_logits(prompts))

    def label_logits(self, prompts: Sequence[str]) -> FloatArray:
        """Return the labels' logits, shape (n_prompts, n_labels), in the labels' order."""
        if not prompts:
            return np.empty((0, len(self._columns)))
        rows: dict[str, int] = {}
        positions = [rows.setdefault(prompt, len(rows)) for prompt in prompts]
        texts = self._windows.text_windows(list(rows))
        tokens = [[*ids, *self._windows.suffix] for ids in texts]

        def read(batch: IntArray) -> FloatArray:
            return self._read([tokens[row] for row in batch.tolist()])

        n_prefix = len(self._windows.prefix)  # its cache takes memory too, in every row
        return score_by_length([n_prefix + len(ids) for ids in tokens], read)[positions]

    def cut(self, text: str) -> Cut:
        """Say what is left out of the middle of a long prompt."""
        return self._windows.cut(text)

    def _read(self, rows: Sequence[Sequence[int]]) -> FloatArray:
        import torch

        with torch.inference_mode():
            logits = self._prefix.read(self._model, rows)[:, list(self._columns)]
            return logits.float().cpu().numpy().astype(np.float64)


def rebuild(stored: StoredModel) -> BoundCausal:
    """Turn what an artifact holds into a router.

    Raises:
        ArtifactError: If a part is missing or damaged.
        ConfigError: If there is no such device.
        MissingExtraError: If torch or transformers is not installed.
    """
    classifier = CausalClassifier.stored(stored)
    embedder: Any = None
    return classifier.bind(strong=stored.strong, weak=stored.weak, embedder=embedder)
