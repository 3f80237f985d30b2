"""What a bundle can be asked for: its forward pass, its members, and the detectors that it serves."""

from __future__ import annotations

from genood.bundle import Bundle
from genood.detectors import DEFAULT_DETECTOR, DETECTORS
from genood.detectors.base import Detector

AnyBundle = Bundle


def load_bundle(path: str, device: str) -> AnyBundle:
    """Read a bundle; see `Bundle.load`."""
    return Bundle.load(path, device)


def kind_of(bundle: AnyBundle) -> str:
    """The kind of its models."""
    return bundle.foreground.kind


def gives(bundle: AnyBundle) -> frozenset[str]:
    """What of `NEEDS` a bundle has for detectors."""
    density = frozenset({"likelihood", "background"})
    return density | {"gradients"} if bundle.foreground.kind == "lstm" else density


def members_of(bundle: AnyBundle) -> tuple[Bundle, ...]:
    """The bundles of an ensemble; else the bundle itself."""
    return (bundle,)


def served_detectors(bundle: AnyBundle) -> dict[str, Detector]:
    """The detectors that a bundle serves, ready to score, by name."""
    return {
        name: DETECTORS[name]()
        for name in DETECTORS
        if DETECTORS[name].needs <= gives(bundle) and not DETECTORS[name].requires_fit
    }


def default_detector(bundle: AnyBundle) -> str:
    """The name of the detector that judges, unless another is named."""
    return DEFAULT_DETECTOR
