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
    _need_two(made, truth, "FID")
    (mu, sigma), (mu_truth, sigma_truth) = (
        (np.mean(side, axis=0), np.cov(side, rowvar=False)) for side in (made, truth)
    )
    return frechet_of_moments(mu, sigma, mu_truth, sigma_truth)


def kid(made: np.ndarray, truth: np.ndarray) -> float:
    """Kernel distance of two sets of features (N, D), by clean-fid: unbiased, so equal sets may come out below 0.

    The subsets it averages over are drawn from a seed of their own.

    Raises:
        ValueError: fewer than two pictures on either side.
    """
    from cleanfid.fid import kernel_distance

    _need_two(made, truth, "KID")
    state = np.random.get_state()
    try:
        np.random.seed(0)
        return kernel_distance(truth, made)
    finally:
        np.random.set_state(state)


def frechet_of_moments(mu: np.ndarray, sigma: np.ndarray, mu_truth: np.ndarray, sigma_truth: np.ndarray) -> float:
    """Fréchet distance of two Gaussians: |mu - mu'|^2 + Tr(S + S' - 2 (S S')^(1/2)).

    clean-fid 0.1.35 takes the root with an option of SciPy's sqrtm that SciPy 1.18 no longer has. Here the root's trace
    is the sum of the square roots of the eigenvalues of R S' R, R the root of S: of symmetric matrices, so it is real
    with any SciPy, also where there are fewer pictures than features. Equal to clean-fid's number within 1e-5.

    Args:
        mu, mu_truth: means (D,).
        sigma, sigma_truth: covariances (D, D).
    """
    values, vectors = np.linalg.eigh(sigma)
    root = vectors * np.sqrt(values.clip(min=0)) @ vectors.T
    shared = np.sqrt(np.linalg.eigvalsh(root @ sigma_truth @ root).clip(min=0)).sum()
    difference = mu - mu_truth
    return float(difference @ difference + np.trace(sigma) + np.trace(sigma_truth) - 2 * shared)


def _need_two(made: np.ndarray, truth: np.ndarray, metric: str) -> None:
    if min(len(made), len(truth)) < 2:
        raise ValueError(f"{metric} needs two pictures or more on each side; there are {len(made)} and {len(truth)}")
