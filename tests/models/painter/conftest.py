from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from honed.models.painter.compact import write_painter
from honed.models.painter.config import PainterConfig
from honed.models.painter.net import PainterNet

CONFIG = PainterConfig(16, 1, (16, 32), 1, 1, 2, 0.5, 8, "", ("flat", "round"))


def random_net(config: PainterConfig = CONFIG) -> PainterNet:
    """A network whose answer depends on everything that it is given: its last layer is not zero as before training."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    net = PainterNet(config)
    torch.nn.init.normal_(net.unet.conv_out.weight, std=0.05)
    torch.nn.init.normal_(net.style.weight)
    return net.eval()


@pytest.fixture(scope="session")
def painter_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("painters") / "tiny"
    return write_painter(folder, CONFIG, {name: np.array(value) for name, value in random_net().state_dict().items()})
