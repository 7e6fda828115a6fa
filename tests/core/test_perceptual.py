"""The VGG loss beyond its golden number."""

import pytest
import torch

from ladivton_core.training import perceptual
from ladivton_core.training.perceptual import PerceptualLoss


@pytest.fixture(scope="module")
def loss():
    return PerceptualLoss()


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """VGG looks at pictures of 32 pixels in place of 224: a fiftieth of the work."""
    monkeypatch.setattr(perceptual, "SHORT_SIDE", 32)


def test_equal_pictures_cost_nothing_and_only_the_prediction_learns(loss):
    image = (torch.rand(1, 3, 32, 24) * 2 - 1).requires_grad_()
    target = (torch.rand(1, 3, 32, 24) * 2 - 1).requires_grad_()
    with torch.no_grad():
        assert float(loss(image, image)) == 0
    loss(image, target).backward()
    assert float(image.grad.abs().max()) > 0 and target.grad is None
    assert not any(parameter.requires_grad for parameter in loss.parameters())


def test_it_stays_in_eval_mode(loss):
    assert not loss.train().training


def test_other_weights_are_refused():
    with pytest.raises(ValueError, match="not VGG19 weights: 0.weight"):
        PerceptualLoss({"classifier.0.weight": torch.zeros(1)})


def test_torchvisions_weights_fit():
    vgg = pytest.importorskip("torchvision.models").vgg19
    with torch.device("meta"):
        state = {key: tensor.shape for key, tensor in vgg().features.state_dict().items()}
    own = {key: tensor.shape for key, tensor in PerceptualLoss().features.state_dict().items()}
    assert all(state[key] == shape for key, shape in own.items())
