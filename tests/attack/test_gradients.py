"""First-order estimates of substitutions against finite differences, and what they are good for."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from toys import context_model, uniform_codes

from genood.attack.gradients import GradientRanking, has_gradients
from genood.attack.objectives import FeatureObjective, Floats, LikelihoodObjective, Objective, ScoreObjective
from genood.attack.search import Attempt, RandomRanking, Search, State
from genood.attack.victim import Victim, batches_of
from genood.bundle import Bundle
from genood.detectors.knn import Knn
from genood.detectors.likelihood import Likelihood
from genood.detectors.llr import LikelihoodRatio
from genood.detectors.max_logit import MaxLogit
from genood.ensemble import EnsembleBundle, num_weights
from genood.models.cnn import CNN, CNNConfig
from genood.models.lstm import LSTM, LSTMConfig
from genood.sequence import Codes, pad

LENGTH = 14
_SMALL = 1e-3
"""A step along which a network of ReLUs seldom bends, in float32."""


def lstm(seed: int) -> LSTM:
    torch.manual_seed(seed)
    model = LSTM(LSTMConfig(hidden_size=6))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.4)
    return model.eval()


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return Bundle(foreground=lstm(1), background=lstm(2), metadata={"background": "mutated"}, calibration={})


def state_of(victim: Victim, reads: list[Codes], target: float = 0.0) -> State:
    codes, lengths = pad(reads)
    known = codes < 4
    values = victim.values(codes, lengths)
    return State(
        codes=codes,
        lengths=lengths,
        values=values,
        targets=np.full_like(values, target),
        numbers=np.arange(len(reads)),
        num_edits=np.zeros(len(reads), dtype=np.int64),
        allowed=known[..., None] & (codes[..., None] != np.arange(4)),
    )


def reads() -> list[Codes]:
    long, short = uniform_codes(LENGTH, 5), uniform_codes(LENGTH - 5, 6)
    long[4] = 4
    return [long, short]


def relaxed(bundle: Bundle, one_hot: Floats, *, with_background: bool) -> Floats:
    """Log-likelihood per base, or the ratio's negative, of soft bases in float64."""
    models = [bundle.foreground, *([bundle.background] if with_background else [])]
    sums = []
    for model in models:
        assert isinstance(model, LSTM)
        double = LSTM.from_weights(model.config(), model.weights()).double()
        double._logits = partial(logits, double)  # type: ignore[method-assign]
        with torch.no_grad():
            sums.append(double.relaxed_log_probs(torch.from_numpy(one_hot)).sum(dim=1).numpy())
    total = sums[1] - sums[0] if with_background else sums[0]
    return total / one_hot.sum(axis=(1, 2))


def logits(model: LSTM, states: torch.Tensor) -> torch.Tensor:
    """Without the rounding to float32, in which differences would drown."""
    of_bases: torch.Tensor = model.dense(states)
    return of_bases.permute(2, 0, 1)


def one_hot_of(codes: Codes) -> Floats:
    return np.eye(5, 4)[codes]


@pytest.mark.parametrize(
    ("objective", "with_background"),
    [
        (LikelihoodObjective(), False),
        (ScoreObjective(LikelihoodRatio()), True),
    ],
    ids=["likelihood", "llr"],
)
def test_estimates_are_derivatives(bundle: Bundle, objective: Objective, with_background: bool) -> None:
    """Along the way from the base that is there to another, by central differences of soft bases."""
    victim = Victim(bundle, objective)
    state = state_of(victim, reads())
    estimates = GradientRanking(victim).estimates(state)
    base = one_hot_of(state.codes)
    scored = base.sum(axis=(1, 2))
    for read, position, new in np.argwhere(state.allowed):
        way = np.zeros_like(base)
        way[read, position, new] = 1.0
        way[read, position, state.codes[read, position]] = -1.0
        above, below = (
            relaxed(bundle, base + step * way, with_background=with_background)[read]
            for step in (1e-5, -1e-5)
        )
        assert estimates[read, position, new] == pytest.approx((above - below) / 2e-5, rel=2e-3, abs=2e-5)
    assert scored.tolist() == [LENGTH - 1, LENGTH - 5]


def test_no_change_is_no_estimate(bundle: Bundle) -> None:
    victim = Victim(bundle, LikelihoodObjective())
    state = state_of(victim, reads())
    estimates = GradientRanking(victim).estimates(state)
    present = np.take_along_axis(estimates, np.minimum(state.codes, 3)[..., None].astype(np.int64), axis=2)
    assert not present.any()


def test_likelihood_score_is_the_likelihood(bundle: Bundle) -> None:
    """The detector's score is minus the likelihood per base: found numerically, so are its estimates."""
    victims = [Victim(bundle, o) for o in (LikelihoodObjective(), ScoreObjective(Likelihood()))]
    first, second = (GradientRanking(victim).estimates(state_of(victim, reads())) for victim in victims)
    np.testing.assert_allclose(first, -second, rtol=1e-3, atol=1e-5)


def test_orders_hold_what_is_allowed(bundle: Bundle) -> None:
    victim = Victim(bundle, LikelihoodObjective())
    state = state_of(victim, reads())
    for order, allowed in zip(GradientRanking(victim).orders(state), state.allowed, strict=True):
        assert sorted(order.tolist()) == np.flatnonzero(allowed).tolist()


def true_effects(victim: Victim, state: State, read: int) -> tuple[Floats, Floats]:
    """Estimated and true changes of the quantity by each substitution of a read."""
    changed = []
    places = np.argwhere(state.allowed[read])
    for position, new in places:
        codes = state.codes[read].copy()
        codes[position] = new
        changed.append(codes)
    values = victim.values(np.stack(changed), np.repeat(state.lengths[read], len(changed)))
    estimates = GradientRanking(victim).estimates(state)[read]
    return estimates[places[:, 0], places[:, 1]], (values - state.values[read])[:, 0]


def test_estimates_go_with_the_truth(bundle: Bundle) -> None:
    victim = Victim(bundle, LikelihoodObjective())
    state = state_of(victim, reads())
    for read in range(2):
        assert np.corrcoef(*true_effects(victim, state, read))[0, 1] > 0.5


def test_gradients_need_fewer_questions(bundle: Bundle) -> None:
    """Of few candidates, those that gradients name bring reads closer than random ones do."""
    victim = Victim(bundle, LikelihoodObjective())
    codes = [uniform_codes(60, seed) for seed in range(8)]
    best = victim.values(*pad(codes)).max() + 0.3
    attempts = [Attempt(number=i, codes=c, target=np.array([best]), budget=4) for i, c in enumerate(codes)]
    ends = []
    for ranking in (GradientRanking(victim), RandomRanking(0)):
        made = Search(victim, ranking, candidates=4, tries=2).run(attempts)
        ends.append(np.mean([trajectory.distances[-1] for trajectory in made]))
    assert ends[0] < 0.9 * ends[1]


def test_batches_do_not_matter(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    victim = Victim(bundle, LikelihoodObjective())
    codes = [uniform_codes(length, length) for length in (60, 43, 60, 51)]
    attempts = [Attempt(number=i, codes=c, target=np.array([-1.0]), budget=5) for i, c in enumerate(codes)]
    search = Search(victim, GradientRanking(victim), candidates=8, tries=2)
    together = search.run(attempts)
    assert [trajectory.edits for trajectory in together] == [
        search.run([alone])[0].edits for alone in attempts
    ]
    monkeypatch.setattr("genood.attack.victim.BATCH_BASES", 100)
    monkeypatch.setattr("genood.attack.slopes._GRADIENT_BASES", 100)
    assert [t.edits for t in search.run(attempts)] == [t.edits for t in together]


def test_gradients_of_weights_are_of_few_reads_at_a_time(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As detectors of weights' gradients have them, of which each read has as many as there are weights."""
    monkeypatch.setattr("genood.ensemble._GRADIENT_NUMBERS", 2 * num_weights(bundle))
    codes, lengths = pad([uniform_codes(LENGTH, seed) for seed in range(5)])
    sizes = [
        [len(batch.codes) for batch in batches_of(bundle, codes, lengths, needs)]
        for needs in ({"likelihood", "gradients"}, {"likelihood"})
    ]
    assert sizes == [[2, 2, 1], [5]]


def test_models_are_left_as_they_were(bundle: Bundle) -> None:
    victim = Victim(bundle, LikelihoodObjective())
    GradientRanking(victim).estimates(state_of(victim, reads()))
    assert isinstance(bundle.foreground, LSTM)
    assert not bundle.foreground.training
    assert all(parameter.grad is None for parameter in bundle.foreground.parameters())


@pytest.fixture(scope="module")
def classifiers() -> EnsembleBundle:
    """Two classifiers of different weights, and so of different features."""
    members = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        # Filters so long that no window comes twice: of two strongest ones, only one has the gradient.
        cnn = CNN(CNNConfig(num_classes=3, num_filters=12, filter_length=7, hidden_size=3 + seed)).eval()
        members.append(Bundle(classifier=cnn, metadata={"kind": "cnn"}, calibration={}))
    return EnsembleBundle(members=tuple(members), by="seed", metadata={}, calibration={})


def effect_of_ray(bundle: Bundle, state: State, index: tuple[int, int, int]) -> float:
    """Change of the mean squared error of features along the way to another base, by a small step."""
    read, position, new = index
    cnn = bundle.classifier
    assert isinstance(cnn, CNN)
    base = one_hot_of(state.codes).astype(np.float32)
    way = np.zeros_like(base)
    way[read, position, new] = 1.0
    way[read, position, state.codes[read, position]] = -1.0
    errors = []
    for step in (_SMALL, -_SMALL):
        with torch.no_grad():
            bent = torch.from_numpy(base + np.float32(step) * way)
            features = cnn.features(bent, torch.from_numpy(state.lengths)).numpy()
        errors.append(((features[read] - state.targets[read]) ** 2).mean())
    return float(errors[0] - errors[1]) / (2 * _SMALL)


def test_feature_estimates_are_derivatives(classifiers: EnsembleBundle) -> None:
    bundle = classifiers.members[0]
    victim = Victim(bundle, FeatureObjective())
    state = state_of(victim, reads(), target=0.5)
    estimates = GradientRanking(victim).estimates(state)
    assert np.abs(estimates).max() > 0.01
    for read, position, new in np.argwhere(state.allowed):
        expected = effect_of_ray(bundle, state, (read, position, new))
        assert estimates[read, position, new] == pytest.approx(expected, rel=0.02, abs=2e-4)


def test_a_single_feature_is_brought_nearer_than_by_chance() -> None:
    """What is estimated is the change of its squared error, as of many features."""
    torch.manual_seed(0)
    cnn = CNN(CNNConfig(num_classes=2, num_filters=16, filter_length=8, hidden_size=1)).eval()
    with torch.no_grad():
        for parameter in cnn.parameters():
            parameter.normal_(0, 0.5)
        cnn.dense.bias.fill_(5.0)  # so that no read is where the ReLU is flat
    victim = Victim(Bundle(classifier=cnn, metadata={"kind": "cnn"}, calibration={}), FeatureObjective())
    codes = [uniform_codes(100, seed) for seed in range(40)]
    targets = np.roll(victim.values(*pad(codes)), 1, axis=0)
    assert targets.shape == (40, 1)
    attempts = [
        Attempt(number=i, codes=c, target=t, budget=5)
        for i, (c, t) in enumerate(zip(codes, targets, strict=True))
    ]
    ends = []
    for ranking in (GradientRanking(victim), RandomRanking(0)):
        made = Search(victim, ranking, candidates=2, tries=4).run(attempts)
        ends.append(np.mean([trajectory.distances[-1] for trajectory in made]))
    assert ends[0] < 0.7 * ends[1]


def test_features_of_an_ensemble_have_each_member_s_gradient(classifiers: EnsembleBundle) -> None:
    """The error is the mean over all features: of the first member's four, and of the second's five."""
    together = GradientRanking(Victim(classifiers, FeatureObjective()))
    state = state_of(Victim(classifiers, FeatureObjective()), reads(), target=0.5)
    apart = []
    for number, member in enumerate(classifiers.members):
        victim = Victim(member, FeatureObjective())
        apart.append(GradientRanking(victim).estimates(state_of(victim, reads(), target=0.5)) * (4 + number))
    np.testing.assert_allclose(together.estimates(state), np.mean(apart, axis=0) / 9, rtol=1e-4, atol=1e-6)


def test_scores_of_logits_have_gradients(classifiers: EnsembleBundle) -> None:
    """Minus the largest logit: its gradient is that of the logit, so that of the last layer's row."""
    bundle = classifiers.members[0]
    victim = Victim(bundle, ScoreObjective(MaxLogit()))
    state = state_of(victim, reads())
    estimates = GradientRanking(victim).estimates(state)
    cnn = bundle.classifier
    assert isinstance(cnn, CNN)
    one_hot = torch.from_numpy(one_hot_of(state.codes).astype(np.float32)).requires_grad_()
    largest = cnn.logits(one_hot, torch.from_numpy(state.lengths)).max(dim=1).values
    (gradient,) = torch.autograd.grad(-largest.sum(), one_hot)
    present = np.minimum(state.codes, 3)[..., None].astype(np.int64)
    expected = gradient.numpy() - np.take_along_axis(gradient.numpy(), present, axis=2)
    np.testing.assert_allclose(estimates, expected, rtol=1e-3, atol=1e-5)


def test_ensemble_is_the_mean_of_its_members(bundle: Bundle) -> None:
    other = Bundle(foreground=lstm(3), background=lstm(4), metadata=bundle.metadata, calibration={})
    ensemble = EnsembleBundle(members=(bundle, other), by="seed", metadata={}, calibration={})
    found = [
        GradientRanking(victim).estimates(state_of(victim, reads()))
        for victim in (Victim(asked, LikelihoodObjective()) for asked in (ensemble, bundle, other))
    ]
    np.testing.assert_allclose(found[0], (found[1] + found[2]) / 2, rtol=1e-4, atol=1e-6)


def test_who_has_gradients(bundle: Bundle, classifiers: EnsembleBundle) -> None:
    context = Bundle(
        foreground=context_model(A=uniform_codes(500, 1)),
        metadata={"background": "low-order"},
        calibration={},
    )
    assert has_gradients(bundle, LikelihoodObjective())
    assert has_gradients(bundle, ScoreObjective(LikelihoodRatio()))
    assert not has_gradients(context, LikelihoodObjective())
    assert not has_gradients(bundle, FeatureObjective())
    assert has_gradients(classifiers, FeatureObjective())
    assert has_gradients(classifiers, ScoreObjective(MaxLogit()))
    # Of features themselves, a score's derivatives would take one question for each.
    assert not has_gradients(classifiers, ScoreObjective(Knn()))
