"""Train matrix factorisation by routellm's own code; run by benchmarks/mf_speed.py.

    PEER_PYTHON benchmarks/mf_peer.py FOLDER N_EPOCHS NOISE

PEER_PYTHON is a Python with routellm 0.2.0. FOLDER holds what mf_speed.py wrote: embeddings.npy,
train.json and validation.json in routellm's format. Model, loop, evaluator and numbers are those of
its train_matrix_factorization.py, whose NOISE is 0.1; only the device and the files differ. After
each epoch the weights go to FOLDER/epoch_N.npz, with the seconds so far, the saving left out.
"""

import json
import os
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    Module = Any  # torch.nn.Module, in the peer's environment

BATCH_SIZE = 64
VALIDATION_BATCH_SIZE = 1024
N_FACTORS = 128


def main() -> None:
    """Train and write weights per epoch."""
    os.environ.setdefault("OPENAI_API_KEY", "none")  # the package makes a client when imported
    folder, n_epochs, noise = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    torch = import_module("torch")
    peer = import_module("routellm.routers.matrix_factorization.train_matrix_factorization")
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    training = json.loads((folder / "train.json").read_text())
    validation = json.loads((folder / "validation.json").read_text())
    embeddings = folder / "embeddings.npy"
    n_prompts, dimension = np.load(embeddings, mmap_mode="r").shape
    net = peer.MFModel_Train(
        dim=N_FACTORS,
        num_models=len(peer.MODEL_IDS),
        num_prompts=n_prompts,
        text_dim=dimension,
        use_proj=True,
        npy_path=str(embeddings),
    )
    clock = Clock(folder)

    def evaluator(net: "Module", *arguments: object) -> tuple[float, float]:
        loss, accuracy = peer.evaluator(net, *arguments)
        clock.save(net, loss)
        return loss, accuracy

    peer.train_loops(
        net,
        peer.PairwiseDataset(training).get_dataloaders(BATCH_SIZE, shuffle=True),
        peer.PairwiseDataset(validation).get_dataloaders(VALIDATION_BATCH_SIZE, shuffle=False),
        lr=3e-4,
        weight_decay=1e-5,
        alpha=noise,
        num_epochs=n_epochs,
        device="cpu",
        evaluator=evaluator,
    )


class Clock:
    """Seconds of training, without those that writing its weights takes."""

    def __init__(self, folder: Path) -> None:
        """Start now."""
        self.folder, self.n_epochs = folder, 0
        self.start_s = time.perf_counter()

    def save(self, net: "Module", own_loss: float) -> None:
        """Write the weights of this epoch, then set the clock back."""
        now_s = time.perf_counter()
        self.n_epochs += 1
        np.savez(
            self.folder / f"epoch_{self.n_epochs}.npz",
            seconds=now_s - self.start_s,
            own_loss=own_loss,
            projection=net.text_proj.weight.detach().numpy().T,
            output=net.classifier.weight.detach().numpy()[0],
            model_vectors=net.P.weight.detach().numpy(),
        )
        self.start_s += time.perf_counter() - now_s


if __name__ == "__main__":
    main()
