"""The contract of a family that can be trained; the table is `routecast.routers.families`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from itertools import product
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from routecast.data.preferences import PreferenceArrays
from routecast.embed.protocol import Embedder
from routecast.errors import ConfigError
from routecast.routers.families import find_record
from routecast.routers.model_folder import ModelFolder
from routecast.routers.protocol import Router
from routecast.train.battles import ModelScores
from routecast.types import AnyArray, EmbeddingArray, FloatArray, IntArray

Step = Callable[[int, float, float | None], None]
"""Called after each step of a fit: its number, the training loss, the validation loss."""


class TrainedModel(Protocol):
    """What fitting gives: weights that become a router once the sides are named."""

    def bind(self, *, strong: Sequence[str], weak: Sequence[str], embedder: Embedder) -> Router:
        """Fix who is strong and who is weak."""
        ...

    def tensors(self) -> dict[str, AnyArray]:
        """Return the arrays that an artifact stores; the router registry rebuilds from them."""
        ...


@runtime_checkable
class SavesFolder(Protocol):
    """A trained model that is a neural network, kept as a Hugging Face folder."""

    def model_folder(self) -> ModelFolder | None:
        """Return the folder that an artifact copies; None where the model lies elsewhere."""
        ...


@runtime_checkable
class ReadsEmbeddings(Protocol):
    """A bound router that takes embeddings too, so that no prompt is embedded twice."""

    def win_probabilities_of(self, embeddings: EmbeddingArray) -> FloatArray:
        """Return P(strong wins) per row of embeddings, shape (n_prompts,)."""
        ...


@runtime_checkable
class ReadsPromptsAndEmbeddings(Protocol):
    """A bound router that needs texts and embeddings.

    When it is used, it may abstain, and parts that do not belong to a prompt may lower its score.
    """

    def win_probabilities_from(
        self, prompts: Sequence[str], embeddings: EmbeddingArray
    ) -> FloatArray:
        """Return P(strong wins) per prompt, shape (n_prompts,), abstaining on none."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Lesson:
    """What a family learns from. Training and validation share no prompt.

    Attributes:
        prompts: All prompts; the comparisons' indices point into these.
        embeddings: One unit vector per prompt, shape (n_prompts, dimension).
        training: Comparisons to fit.
        validation: Comparisons to stop and to choose by; may be empty.
        strong: Models that will stand for strong; families of one pair learn only these.
        weak: Models that will stand for weak.
        seed: Of everything random.
        groups: One label per prompt; prompts of one group are nearly the same. Shape (n_prompts,).
        folds: Fold of each prompt, no group torn, shape (n_prompts,); None where nothing is judged
            by folds.
        tiers: Tier of every model, 0 the strongest, where the sides were named by tier; else None.
        checkpoint: A file, or a folder, in which a fit may keep what it needs to go on after an
            interruption; it goes on from it where it is there. None for none.
        device: Where a neural network is trained, see `routecast.routers.torch_device`; None
            picks.
        weak_quality: Mean quality of the weak models' answers per prompt, on the scale [0, 1], NaN
            where labels do not say it, shape (n_prompts,); None where none do.
        embedder: Gives the vector of any other text; None where no family asks for one.
        environ: Where ``env:NAME`` secrets are looked up.
        on_step: Called after each step, where given.
    """

    prompts: tuple[str, ...]
    embeddings: EmbeddingArray
    training: PreferenceArrays
    validation: PreferenceArrays
    strong: tuple[str, ...]
    weak: tuple[str, ...]
    seed: int
    groups: IntArray
    folds: IntArray | None = None
    tiers: Mapping[str, int] | None = None
    checkpoint: Path | None = None
    device: str | None = None
    weak_quality: FloatArray | None = None
    embedder: Embedder | None = None
    environ: Mapping[str, str] = field(default_factory=dict)
    on_step: Step | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Fit:
    """A fitted model and how it got there.

    Attributes:
        model: The weights that were kept.
        validation_loss: Mean logistic loss of the validation comparisons, in nats; NaN without any.
        scores: Scores of every model of the data; None for families that know one pair only.
        record: What else the manifest should say: the step that was kept, say.
        cross_fitted: P(strong wins) of the training prompts, each predicted without the labels of
            its group, shape (n_prompts,), NaN elsewhere; None for families that do not.
        by_fold: The same, each without the labels of its whole fold, so that prompts of one fold
            can be compared: the same fit scored them. None where the lesson has no folds.
    """

    model: TrainedModel
    validation_loss: float
    scores: ModelScores | None = None
    record: Mapping[str, Any] = field(default_factory=dict)
    cross_fitted: FloatArray | None = None
    by_fold: FloatArray | None = None


@dataclass(frozen=True, kw_only=True)
class Family:
    """A kind of router that can be trained.

    Attributes:
        name: What users write.
        settings: A frozen dataclass; every field has a default and its own meaning.
        fit: Learns with settings of that class.
        search: Values to choose from on validation data, by setting, unless the user gives one.
        fixed: Fields of ``settings`` that the pipeline sets itself: ``seed``.
        cross_fits: Its fits are ``cross_fitted``, so validation prompts are trained on too.
        named: Values that have a name, by setting: ``gamma=sharp``.
        private: Settings that are the user's own affair, paths and addresses, so no artifact
            keeps them.
    """

    name: str
    settings: type[Any]
    fit: Callable[[Lesson, Any], Fit]
    search: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    fixed: tuple[str, ...] = ("seed",)
    cross_fits: bool = False
    named: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    private: tuple[str, ...] = ()

    def settings_names(self) -> tuple[str, ...]:
        """Return the settings that users may give."""
        return tuple(f.name for f in fields(self.settings) if f.name not in self.fixed)

    def shared(self, chosen: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings that an artifact keeps."""
        return {name: value for name, value in chosen.items() if name not in self.private}

    def candidates(self, given: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return every combination of the given values and of those to choose from.

        Args:
            given: One value, or a tuple of values to choose from, by setting.

        Raises:
            ConfigError: If a setting is unknown; the message lists those that exist.
        """
        for name in given:
            if name not in self.settings_names():
                accepted = self.described()
                has = f"its settings are {accepted}" if accepted else "it has none to set"
                raise ConfigError(f"{self.name} has no setting {name!r}; {has}")
        lists = {
            name: value if isinstance(value, tuple) else (value,)
            for name, value in {**self.search, **given}.items()
        }
        return [dict(zip(lists, values, strict=True)) for values in product(*lists.values())]

    def described(self) -> str:
        """Return the settings with their defaults, for messages."""
        return ", ".join(
            f"{f.name}={self._shown(f.name, f.default)}"
            for f in fields(self.settings)
            if f.name not in self.fixed and f.default is not MISSING
        )

    def _shown(self, setting: str, value: object) -> str:
        """Return a value as users would write it: by its name if it has one."""
        names = [name for name, known in self.named.get(setting, {}).items() if known == value]
        return names[0] if names else repr(value)


def find_family(name: str) -> Family:
    """Return a family by name, imported when it is first asked for.

    Raises:
        ConfigError: If no family has this name; the message lists those that exist.
    """
    family: Family = find_record(name).load_training()
    return family
