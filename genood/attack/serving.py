"""What a bundle can be asked for: its members, and the detectors that it serves."""

from __future__ import annotations

from genood.bundle import Bundle
from genood.detectors import DETECTORS
from genood.detectors.base import Detector
from genood.detectors.serving import ready_detector, served
from genood.ensemble import AnyBundle, EnsembleBundle


def members_of(bundle: AnyBundle) -> tuple[Bundle, ...]:
    """The bundles of an ensemble; else the bundle itself."""
    return bundle.members if isinstance(bundle, EnsembleBundle) else (bundle,)


def gives(bundle: AnyBundle) -> frozenset[str]:
    """What of `NEEDS` a bundle has, or each of its members."""
    return bundle.gives | frozenset.intersection(*(member.gives for member in members_of(bundle)))


def kind_of(bundle: AnyBundle) -> str:
    """The kind of its models, for people."""
    if not isinstance(bundle, EnsembleBundle):
        return bundle.model.kind
    return f"{len(bundle.members)} {bundle.kinds}"


def served_detectors(bundle: AnyBundle) -> dict[str, Detector]:
    """The detectors that a bundle serves, ready to score, by name; not those that it was not fitted for."""
    fitted = {key.partition("/")[0] for key in bundle.detectors}
    names = [name for name in served(bundle.gives) if not DETECTORS[name].requires_fit or name in fitted]
    return {name: ready_detector(name, bundle.detectors) for name in names}
