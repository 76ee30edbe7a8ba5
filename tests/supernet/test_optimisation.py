"""Schedule, averages and updates against written-out and library references."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from search_spaces.errors import TrainingError
from supernet.evaluation import evaluate
from supernet.training.optimisation import Optimisation
from supernet.training.recipe import Recipe


def _state(**values: float) -> tuple[nn.Linear, Optimisation]:
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    parameters = dict(model.named_parameters())
    return model, Optimisation(parameters, Recipe(**values), steps=100)  # type: ignore[arg-type]


def test_the_rate_warms_up_then_follows_a_cosine_to_a_hundredth() -> None:
    _, state = _state(learning_rate=1.0, warmup_share=0.1)
    rates = [state.learning_rate(step) for step in range(101)]
    assert rates[:10] == pytest.approx([(i + 1) / 11 for i in range(10)])
    assert rates[10] == 1.0
    assert rates[55] == pytest.approx(0.01 + 0.99 * 0.5)
    assert rates[100] == pytest.approx(0.01)


def test_an_update_is_adamw_with_clipping() -> None:
    model, state = _state(learning_rate=0.1, warmup_share=0.0, clip_norm=0.5, weight_decay=0.3)
    reference = nn.Linear(3, 2)
    reference.load_state_dict(model.state_dict())
    adamw = torch.optim.AdamW(
        [
            {"params": [reference.weight], "weight_decay": 0.3},
            {"params": [reference.bias], "weight_decay": 0.0},
        ],
        lr=0.1,
    )
    x = torch.randn(5, 3)
    for step in range(5):
        for module in (model, reference):
            module(x).square().sum().backward()
        nn.utils.clip_grad_norm_(reference.parameters(), 0.5)
        for group in adamw.param_groups:
            group["lr"] = state.learning_rate(step)
        adamw.step()
        adamw.zero_grad()
        state.update()
        state.step_number += 1
    torch.testing.assert_close(model.weight, reference.weight)
    torch.testing.assert_close(model.bias, reference.bias)


def test_weights_without_a_gradient_stay_as_they_are() -> None:
    model, state = _state()
    before = model.bias.detach().clone()
    model.weight.sum().backward()
    state.update()
    assert torch.equal(model.bias, before)
    assert torch.equal(state.averages["bias"], before)


def test_averages_follow_the_weights() -> None:
    model, state = _state(ema_decay=0.9, learning_rate=0.1)
    average = model.weight.detach().clone()
    for step in range(1, 30):
        model(torch.ones(1, 3)).sum().backward()
        state.update()
        decay = min(0.9, step / (step + 10))
        average = decay * average + (1 - decay) * model.weight.detach()
    torch.testing.assert_close(state.averages["weight"], average)
    state.adopt_averages()
    torch.testing.assert_close(model.weight.detach(), average)


def test_an_average_counts_the_updates_of_its_own_weight() -> None:
    """A weight that is used in one of many steps is averaged as if there were no other steps."""
    model, state = _state(ema_decay=0.99, learning_rate=0.1)
    average, updates = model.bias.detach().clone(), 0
    for step in range(60):
        (model.weight.sum() + (model.bias.sum() if step % 20 == 5 else 0)).backward()
        state.update()
        if step % 20 == 5:
            updates += 1
            decay = updates / (updates + 10)
            average = decay * average + (1 - decay) * model.bias.detach()
    assert updates == 3
    torch.testing.assert_close(state.averages["bias"], average)


def test_a_diverged_training_ends_and_leaves_the_weights() -> None:
    model, state = _state()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    (model.weight.sum() + model.bias.sum() * float("nan")).backward()
    with pytest.raises(TrainingError, match=r"has diverged: .* step 0 .*learning_rate=0\.001\."):
        state.update()
    assert all(torch.equal(before[name], p) for name, p in model.named_parameters())


def test_swapping_averages_twice_changes_nothing() -> None:
    model, state = _state()
    model(torch.ones(1, 3)).sum().backward()
    state.update()
    weight = model.weight.detach().clone()
    state.swap_averages()
    assert not torch.equal(model.weight, weight)
    state.swap_averages()
    assert torch.equal(model.weight, weight)


def test_an_evaluation_counts_classes_evenly_where_asked() -> None:
    from sklearn.metrics import accuracy_score, balanced_accuracy_score, log_loss

    torch.manual_seed(0)
    scores, labels = torch.randn(50, 4), torch.randint(0, 3, (50,))
    batches = [(scores[:30], labels[:30]), (scores[30:], labels[30:])]
    found = evaluate(lambda x: x, batches)
    guessed = scores.argmax(1)
    assert found.accuracy == pytest.approx(accuracy_score(labels, guessed))
    seen = [c for c in range(3)]
    recall = [float((guessed[labels == c] == c).float().mean()) for c in seen]
    assert found.balanced_accuracy == pytest.approx(sum(recall) / 3)
    if set(guessed.tolist()) <= set(seen):
        assert found.balanced_accuracy == pytest.approx(balanced_accuracy_score(labels, guessed))
    expected = log_loss(labels, scores.softmax(1).numpy(), labels=[0, 1, 2, 3])
    assert found.loss == pytest.approx(expected, rel=1e-4)
    assert math.isfinite(found.loss)
