"""`genood train`: options that a model has no use for."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import Genood

LSTM_ONLY = {
    "--preset": "small",
    "--held-out-fraction": "0.1",
    "--l2": "0",
    "--hidden-size": "8",
    "--layers": "1",
    "--dropout": "0",
    "--steps": "1",
    "--batch-size": "8",
    "--learning-rate": "0.1",
    "--schedule": "constant",
    "--warmup-steps": "1",
    "--max-gradient-norm": "1",
    "--patience": "1",
    "--max-recoveries": "1",
    "--tensorboard": "board",
    "--validation-interval": "1",
    "--precision": "fp32",
    "--resume": None,
}
CONTEXT_ONLY = {"--background": "low-order", "--memory": "2", "--add": "bundle"}
NO_MEANING = [
    *((model, option, value) for model in ("context", "") for option, value in LSTM_ONLY.items()),
    *(("lstm", option, value) for option, value in CONTEXT_ONLY.items()),
    *(("markov", option, value) for option, value in LSTM_ONLY.items() if option != "--held-out-fraction"),
    *(("markov", option, value) for option, value in CONTEXT_ONLY.items() if option != "--background"),
    *((model, "--order", "3") for model in ("context", "lstm")),
    *(("sketch", option, value) for option, value in CONTEXT_ONLY.items()),
    *(("sketch", option, LSTM_ONLY.get(option)) for option in ("--steps", "--l2", "--resume")),
    ("sketch", "--order", "2"),
    *((model, "--max-size", "8") for model in ("context", "lstm", "markov")),
]


@pytest.mark.parametrize(("model", "option", "value"), NO_MEANING)
def test_options_of_the_other_model(
    genood_here: Genood, tmp_path: Path, model: str, option: str, value: str | None
) -> None:
    """Before anything is read: the genome does not exist. Without --model it is the context model's turn."""
    given = (option,) if value is None else (option, value)
    kind = ("--model", model) if model else ()
    result = genood_here("train", "none.fa", "-o", tmp_path / "b", "--device", "cpu", *kind, *given)
    assert (result.returncode, result.stdout) == (2, "")
    says = f"Error: {option} has no meaning for --model {model or 'context'}"
    if option == "--resume":
        says += " without --members"
    assert result.stderr.splitlines()[-1] == says
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", ["inf", "nan"])
@pytest.mark.parametrize(
    ("command", "model", "option"),
    [
        ("train", "context", "--memory"),
        ("train", "sketch", "--max-size"),
        ("train", "lstm", "--max-gradient-norm"),
        ("tune", "context", "--memory"),
    ],
)
def test_sizes_are_finite(
    genood_here: Genood, tmp_path: Path, command: str, model: str, option: str, value: str
) -> None:
    result = genood_here(command, "none.fa", "-o", tmp_path / "b", "--model", model, option, value)
    assert (result.returncode, result.stdout) == (2, "")
    says = f"Error: Invalid value for '{option}': {value} is not a finite number."
    assert result.stderr.splitlines()[-1] == says
