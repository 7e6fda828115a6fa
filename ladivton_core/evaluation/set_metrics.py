"""What is measured between two sets of pictures: FID and KID by clean-fid, mode "clean".

Features are taken from the files at their own size, anew on every run: nothing is kept under a name, so nothing can be
out of date (clean-fid's own custom statistics would be). SPEC section 9.
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
    """Fréchet distance of two sets of features (N, D), by clean-fid.

    Raises:
        ValueError: fewer than two pictures on either side.
    """
    _need_two(made, truth, "FID")
    (mu, sigma), (mu_truth, sigma_truth) = (
        (np.mean(side, axis=0), np.cov(side, rowvar=False)) for side in (made, truth)
    )
    return float(_frechet(mu, sigma, mu_truth, sigma_truth))


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


def _frechet(mu: np.ndarray, sigma: np.ndarray, mu_truth: np.ndarray, sigma_truth: np.ndarray) -> float:
    from cleanfid.fid import frechet_distance

    try:
        return frechet_distance(mu, sigma, mu_truth, sigma_truth)
    except TypeError as error:  # SciPy 1.18 takes away the option `disp` of sqrtm, which clean-fid 0.1.35 passes
        if "disp" not in str(error):
            raise
        return frechet_of_moments(mu, sigma, mu_truth, sigma_truth)


def frechet_of_moments(mu: np.ndarray, sigma: np.ndarray, mu_truth: np.ndarray, sigma_truth: np.ndarray) -> float:
    """clean-fid's Fréchet distance of two Gaussians, for versions of SciPy that it does not run on.

    Raises:
        ValueError: the product of the covariances has no real square root.
    """
    from scipy import linalg

    root = linalg.sqrtm(sigma @ sigma_truth)
    if not np.isfinite(root).all():  # singular: fewer pictures than features
        offset = 1e-6 * np.eye(len(sigma))
        root = linalg.sqrtm((sigma + offset) @ (sigma_truth + offset))
    if not np.allclose(np.imag(np.diagonal(root)), 0, atol=1e-3):
        raise ValueError(f"the covariances have no real square root (imaginary part {np.abs(np.imag(root)).max():.3g})")
    difference = mu - mu_truth
    return difference @ difference + np.trace(sigma) + np.trace(sigma_truth) - 2 * np.trace(np.real(root))


def _need_two(made: np.ndarray, truth: np.ndarray, metric: str) -> None:
    if min(len(made), len(truth)) < 2:
        raise ValueError(f"{metric} needs two pictures or more on each side; there are {len(made)} and {len(truth)}")
