"""What is measured between two sets of pictures: FID and KID on clean-fid's features, mode "clean".

Features are taken from the files at their own size, anew on every run: nothing is kept under a name, so nothing can be
out of date (clean-fid's own custom statistics would be). Published §9.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .intervals import Score

MODE = "clean"


def features(
    network: Callable[[Tensor], Tensor],
    files: Sequence[Path],
    device: torch.device | str,
    batch: int = 8,
    workers: int = 0,
    title: str = "",
    progress: bool = True,
) -> np.ndarray:
    """Features (N, D) of files, resized by clean-fid.

    Args:
        network: of `backbones.fid_features`.
        workers: processes that read and resize, where the system can fork; clean-fid's reader cannot be sent to others.
    """
    from cleanfid.fid import get_files_features

    return get_files_features(
        list(map(str, files)),
        network,
        num_workers=workers if multiprocessing.get_start_method() == "fork" else 0,
        batch_size=batch,
        device=torch.device(device),
        mode=MODE,
        description=title,
        verbose=progress,
    )


def fid(made: np.ndarray, truth: np.ndarray) -> float:
    """Fréchet distance of two sets of features (N, D).

    Raises:
        ValueError: fewer than two pictures on either side.
    """
    return float(fid_score(made, truth)(np.arange(len(made))[None])[0])


def fid_score(made: np.ndarray, truth: np.ndarray) -> Score:
    """Fréchet distance of any of the made pictures to a truth that stays: |mu - mu'|^2 + Tr(S + S' - 2 (S S')^(1/2)).

    clean-fid 0.1.35 takes the root with an option of SciPy's sqrtm that SciPy 1.18 no longer has. With S = A^T A and
    S' = B^T B, of centred features, the root's trace is the sum of the singular values of A B^T: real with any SciPy,
    quick where there are fewer pictures than features. Equal to clean-fid's number within 1e-5.

    Raises:
        ValueError: fewer than two pictures on either side; the score, for sets of fewer.
    """
    made, truth = _two_or_more(made, truth, "FID")
    centre = truth.mean(0)
    spread = (truth - centre) / np.sqrt(len(truth) - 1)
    total = np.square(spread).sum()
    root = np.linalg.qr(spread, mode="r") if len(spread) > spread.shape[1] else spread

    def distance(rows: np.ndarray) -> float:
        features = made[rows]
        mean = features.mean(0)
        own = (features - mean) / np.sqrt(len(rows) - 1)
        shared = np.linalg.svd(own @ root.T, compute_uv=False).sum()
        return float(np.square(mean - centre).sum() + np.square(own).sum() + total - 2 * shared)

    return lambda sets: np.array([distance(rows) for rows in sets])


def kid(made: np.ndarray, truth: np.ndarray) -> float:
    """Kernel distance of two sets of features (N, D), by clean-fid: unbiased, so equal sets may come out below 0.

    The subsets it averages over are drawn from a seed of their own.

    Raises:
        ValueError: fewer than two pictures on either side.
    """
    from cleanfid.fid import kernel_distance

    _two_or_more(made, truth, "KID")
    state = np.random.get_state()
    try:
        np.random.seed(0)
        return kernel_distance(truth, made)
    finally:
        np.random.set_state(state)


def kid_score(made: np.ndarray, truth: np.ndarray) -> Score:
    """The kernel distance of any of the made pictures to a truth that stays, over all pictures at once.

    clean-fid's kernel. Unbiased also where a set holds a picture several times: it is not compared with itself.

    Raises:
        ValueError: fewer than two pictures on either side.
    """
    made, truth = _two_or_more(made, truth, "KID")

    def kernel(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return (first @ second.T / made.shape[1] + 1) ** 3

    def among(features: np.ndarray, counts: np.ndarray) -> float:
        within, squares = kernel(features, features), np.square(counts)
        return (counts @ within @ counts - squares @ np.diag(within)) / (counts.sum() ** 2 - squares.sum())

    across, own = kernel(made, truth).mean(1), among(truth, np.ones(len(truth)))

    def distance(rows: np.ndarray) -> float:
        pictures, counts = np.unique(rows, return_counts=True)
        return among(made[pictures], counts) + own - 2 * across[rows].mean()

    return lambda sets: np.array([distance(rows) for rows in sets])


def _two_or_more(made: np.ndarray, truth: np.ndarray, metric: str) -> tuple[np.ndarray, np.ndarray]:
    """Both sides in double precision."""
    if min(len(made), len(truth)) < 2:
        raise ValueError(f"{metric} needs two pictures or more on each side; there are {len(made)} and {len(truth)}")
    return np.asarray(made, np.float64), np.asarray(truth, np.float64)
