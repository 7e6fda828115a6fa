"""The three pretrained networks of the paper's metrics: where the libraries look for their files, and loading them.

Nothing is downloaded unless asked for. A torch archive reaches its library's loader only after it has been found whole
and free of anything but tensors; clean-fid's network is TorchScript, a program. All three are pinned by their hash.
`picture_metrics.py` and `set_metrics.py` use the networks. Published §9.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..start import installing

if TYPE_CHECKING:
    from torchmetrics import Metric

log = logging.getLogger(__name__)
# As several independent public projects list them; the first two begin as the files' names say.
_ALEXNET = "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02"
_INCEPTION = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
_INCEPTION_SCRIPT = "f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4"
EXTRA = f"install the extra: {installing(extra='eval')}"


class BackboneError(RuntimeError):
    """A metric's network is missing or damaged; the message names file, size, folder and address."""


@dataclass(frozen=True)
class Backbone:
    """One file.

    Attributes:
        title: what it is.
        url: where its library has it from; the file's name is the last part.
        folder: where its library looks for it.
        megabytes: about how large it is.
        sha256: its hash; a library that names another file is not followed.
        archive: a torch archive of tensors; otherwise TorchScript.
    """

    title: str
    url: str
    folder: Path
    megabytes: int
    sha256: str
    archive: bool = True

    @property
    def path(self) -> Path:
        return self.folder / self.url.rsplit("/", 1)[-1]

    def ensure(self, download: bool = False) -> Path:
        """The file, whole.

        Args:
            download: fetch it when it is missing.

        Raises:
            BackboneError: it is missing or damaged.
            DownloadError: it could not be fetched.
        """
        if not self.path.exists():
            if not download:
                raise BackboneError(
                    f"the weights of {self.title} are missing: {self.path.name}, about {self.megabytes} MB, belongs "
                    f"into {self.folder}. Put it there, or let --download fetch it from {self.url}"
                )
            from ..checkpoints.download import download as fetch

            fetch([self.url], self.path, sha256=self.sha256, largest=2 * self.megabytes * 10**6)
        self._check()
        return self.path

    def _check(self) -> None:
        """Refuse a file that is cut short, another one, or holds more than tensors."""
        from ..checkpoints.download import file_sha256
        from ..checkpoints.reading import CheckpointError, read_state_dict

        what = f"{self.path} ({self.path.stat().st_size / 1e6:,.0f} MB; about {self.megabytes} are expected)"
        again = f"Delete it and fetch it again from {self.url}"
        if file_sha256(self.path) != self.sha256:
            raise BackboneError(f"{what} is cut short or another file: its SHA-256 is not {self.sha256}. {again}")
        if self.archive:
            try:
                read_state_dict(self.path)
            except CheckpointError as error:
                raise BackboneError(f"{what} is cut short, or holds more than tensors. {again}") from error


def alexnet() -> Backbone:
    """AlexNet on ImageNet, for LPIPS; the heads that weigh its features come with torchmetrics."""
    try:
        from torchvision.models import AlexNet_Weights
    except ImportError as error:
        raise ImportError(f"LPIPS needs torchvision; {EXTRA}") from error
    url = AlexNet_Weights.DEFAULT.url
    return Backbone("AlexNet (LPIPS)", url, _hub(), 244, _ALEXNET)


def inception_logits() -> Backbone:
    """Inception v3 of TensorFlow with its classes, for the Inception Score."""
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3
    except ImportError as error:
        raise ImportError(f"the Inception Score needs torch-fidelity; {EXTRA}") from error
    return Backbone("Inception v3 (Inception Score)", URL_INCEPTION_V3, _hub(), 96, _INCEPTION)


def inception_features() -> Backbone:
    """The same network as TorchScript, for FID and KID."""
    try:
        from cleanfid.downloads_helper import inception_url
    except ImportError as error:
        raise ImportError(f"FID and KID need clean-fid; {EXTRA}") from error
    # Not clean-fid's own choice, the temporary folder, where every user of the machine may put a file.
    return Backbone("Inception v3 (FID and KID)", inception_url, _hub(), 96, _INCEPTION_SCRIPT, archive=False)


def lpips(device: torch.device | str, download: bool = False) -> Metric:
    """LPIPS with the paper's settings, AlexNet, pictures in [0, 1], by torchmetrics."""
    alexnet().ensure(download)
    from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

    return LearnedPerceptualImagePatchSimilarity(net_type="alex", normalize=True).to(device)


def inception_score(device: torch.device | str, download: bool = False) -> Metric:
    """Inception Score with the paper's settings, 10 splits, pictures in [0, 1], by torchmetrics.

    Its network brings pictures to 299x299 as TensorFlow 1 did; later versions than the paper's antialias unless told
    otherwise.
    """
    inception_logits().ensure(download)
    from torchmetrics.image.inception import InceptionScore

    metric = InceptionScore(normalize=True)
    metric.inception.use_antialias = False
    return metric.to(device)


def fid_features(device: torch.device | str, download: bool = False) -> Callable[[Tensor], Tensor]:
    """clean-fid's network of mode "clean": (B, 3, 299, 299) in [0, 255] to (B, 2048)."""
    file = inception_features().ensure(download)
    from cleanfid.inception_torchscript import InceptionV3W

    return InceptionV3W(str(file.parent), download=False, resize_inside=False).to(device).eval()


@dataclass(frozen=True)
class Networks:
    """How each metric gets its network; other ones can be put in their place, for tests or other backbones."""

    lpips: Callable[..., Metric] = lpips
    inception_score: Callable[..., Metric] = inception_score
    fid_features: Callable[..., Callable[[Tensor], Tensor]] = fid_features


def _hub() -> Path:
    return Path(torch.hub.get_dir()) / "checkpoints"
