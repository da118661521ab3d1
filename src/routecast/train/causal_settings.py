"""How a causal LM is fine-tuned."""

from dataclasses import dataclass
from typing import Final

from routecast.errors import ConfigError
from routecast.routers.causal_labels import GOOD_GRADE, LabelSet, find_labels
from routecast.routers.causal_template import Template, default_template, read_template
from routecast.train.training_rows import FineTuning

TRAINED_LABELS: Final = ("win", "grade")
_TUNES: Final = ("full", "lora")
_ATTENTIONS: Final = ("auto", "sdpa", "flash_attention_2", "eager")
_RATES: Final = {"full": 1e-6, "lora": 1e-4}


@dataclass(frozen=True, kw_only=True)
class CausalSettings:
    """How to fine-tune. Numbers are the paper's where it gives them.

    Attributes:
        base: Id on the Hugging Face hub, or folder, of a causal LM.
        tune: ``full``, every weight; or ``lora``, adapters and the labels' rows.
        labels: ``win``: strong, tie, weak; or ``grade``: five grades of the weak answer, which
            needs outcomes.
        good_grade: With ``grade``, the lowest grade that is good enough.
        template: File with the instruction, ``{query}`` where the query goes; empty for ours.
        length: Tokens at most, instruction and query; of a longer query the middle is left out.
        n_steps: Steps of the optimiser at most.
        batch: Rows of a step.
        micro_batch: Rows in memory at once; 0 for the whole batch.
        learning_rate: Peak; 0 takes 1e-6 for ``full`` and 1e-4 for ``lora``.
        weight_decay: Of all weights but biases and norms.
        warmup: Share of the steps that the learning rate rises for.
        eval_steps: Steps between looks at the validation rows.
        patience: Looks without a lower loss after which the fit stops; 0 never stops.
        gradient_checkpointing: Compute activations twice instead of keeping them: a third more
            time for a small part of the memory.
        attention: ``auto`` (``sdpa`` where the model has it), ``sdpa``, ``flash_attention_2`` (the
            package flash-attn, on a GPU) or ``eager``.
        lora_rank: Of the adapters.
        lora_alpha: Their scale times the rank.
        lora_dropout: On their input.
        seed: Of the order and of dropout.
    """

    base: str = ""
    tune: str = "full"
    labels: str = "win"
    good_grade: int = GOOD_GRADE
    template: str = ""
    length: int = 2048
    n_steps: int = 2000
    batch: int = 8
    micro_batch: int = 0
    learning_rate: float = 0.0
    weight_decay: float = 0.0
    warmup: float = 0.1
    eval_steps: int = 100
    patience: int = 5
    gradient_checkpointing: bool = False
    attention: str = "auto"
    lora_rank: int = 16
    lora_alpha: int = 32
    lora_dropout: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what no fit can be made with; the numbers of `FineTuning` it checks itself."""
        for name, accepted in (
            ("tune", _TUNES),
            ("labels", TRAINED_LABELS),
            ("attention", _ATTENTIONS),
        ):
            if getattr(self, name) not in accepted:
                raise ConfigError(
                    f"{name} {getattr(self, name)!r}; choose one of {list(accepted)!r}"
                )
        if not self.base.strip():
            raise ConfigError(
                "causal needs a model to start from: --set base=ID_OR_FOLDER, an id on the "
                "Hugging Face hub such as Qwen/Qwen2.5-0.5B, or a folder"
            )
        if self.lora_rank < 1 or self.lora_alpha < 1 or not 0 <= self.lora_dropout < 1:
            raise ConfigError(
                f"lora_rank {self.lora_rank!r}, lora_alpha {self.lora_alpha!r} and lora_dropout "
                f"{self.lora_dropout!r}; accepted are 1 or more, 1 or more, and from 0 to below 1"
            )
        self.label_set()
        self.fine_tuning()

    def label_set(self) -> LabelSet:
        """Return the labels that the model learns."""
        return find_labels(self.labels, good_grade=self.good_grade, among=TRAINED_LABELS)

    def fine_tuning(self) -> FineTuning:
        """Return what the Trainer needs of all this."""
        return FineTuning(
            n_steps=self.n_steps,
            batch=self.batch,
            micro_batch=self.micro_batch,
            learning_rate=self.learning_rate or _RATES[self.tune],
            weight_decay=self.weight_decay,
            warmup=self.warmup,
            eval_steps=self.eval_steps,
            patience=self.patience,
            seed=self.seed,
        )

    def read_template(self) -> Template:
        """Return the instruction.

        Raises:
            ConfigError: If the file cannot be read, or has no one place for the query.
        """
        if not self.template:
            return default_template(self.labels)
        return read_template(self.template)
