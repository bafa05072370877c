from __future__ import annotations

from typing import Any

import pytest
import torch

from honed.errors import UsageError
from honed.models.painter.net import ALTERATIONS, Condition
from honed.models.painter.sampler import Sampling, draw, guided, noise_of

from .conftest import CONFIG, random_net


def given(present: float = 1.0) -> Condition:
    generator = torch.Generator().manual_seed(1)
    return Condition(
        references=torch.rand(2, 2, 3, 16, 16, generator=generator) * 2 - 1,
        present=torch.full((2, 2), present),
        style=torch.tensor([1, 2]),
        text=torch.nn.functional.normalize(torch.randn(2, 8, generator=generator), dim=1),
        worded=torch.ones(2),
        altered=torch.zeros(2, ALTERATIONS),
    )


class Counted:
    """The network, and how often it is called."""

    def __init__(self) -> None:
        self.net: Any = random_net()
        self.calls = 0
        self.start = self.net.start

    def __call__(self, *arguments: Any) -> Any:
        self.calls += 1
        return self.net(*arguments)


def test_times_run_from_noise_to_picture() -> None:
    times = Sampling(steps=7, shift=3.0).times()
    assert times[0] == 0.0 and times[-1] == 1.0 and times == sorted(times) and len(times) == 8
    assert times[1] < 1 / 7  # more steps near the noise
    assert Sampling(steps=4, shift=1.0).times() == [0.0, 0.25, 0.5, 0.75, 1.0]


@pytest.mark.parametrize(
    ("sampling", "present", "calls"),
    [
        (Sampling(4), 1.0, 4),
        (Sampling(4, references=2.0), 1.0, 12),
        (Sampling(4, words=2.0), 1.0, 8),
        (Sampling(4, references=2.0, words=2.0), 1.0, 8),
        (Sampling(4, references=2.0), 0.0, 4),
        (Sampling(4, heun=True), 1.0, 7),
    ],
)
def test_no_call_is_made_that_does_not_count(sampling: Sampling, present: float, calls: int) -> None:
    net = Counted()
    draw(net, noise_of([1, 2], 16), given(present), sampling)  # type: ignore[arg-type]
    assert net.calls == calls


def test_guidance_of_nothing_is_as_if_nothing_was_given() -> None:
    net, condition = random_net(), given()
    drawing = noise_of([1, 2], 16)
    ignored = guided(net, condition, Sampling(4, references=0.0, words=0.0))(drawing, 0.4)
    absent = guided(net, given(0.0).without_words(), Sampling(4))(drawing, 0.4)
    with_all = guided(net, condition, Sampling(4))(drawing, 0.4)
    assert torch.allclose(ignored, absent, atol=1e-5)
    assert not torch.allclose(ignored, with_all, atol=1e-2)
    double = guided(net, condition, Sampling(4, references=2.0, words=2.0))(drawing, 0.4)
    assert torch.allclose(double, 2 * with_all - absent, atol=1e-4)


def test_the_references_of_an_absent_slot_do_not_matter() -> None:
    net, start, condition = random_net(), noise_of([1, 2], 16), given()
    condition.present[:, 1] = 0.0
    first = draw(net, start, condition, Sampling(3))
    condition.references[:, 1] = 0.5
    assert torch.equal(draw(net, start, condition, Sampling(3)), first)


def test_an_untrained_network_draws_the_mean_of_its_references() -> None:
    from honed.models.painter.net import PainterNet

    condition = given()
    drawn = draw(PainterNet(CONFIG).eval(), noise_of([1, 2], 16), condition, Sampling(6))
    mean = condition.references.mean(1)
    assert float((drawn - mean).abs().mean()) < 0.15
    assert float((drawn - condition.references[:, 0]).abs().mean()) > 0.3


def test_noise_is_of_its_seed_alone() -> None:
    assert torch.equal(noise_of([4, 5], 8)[1], noise_of([5], 8)[0])


def test_nonsense_is_refused() -> None:
    with pytest.raises(UsageError):
        Sampling(steps=0)
