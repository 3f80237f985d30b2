"""Names mapped to classes."""

from __future__ import annotations

from collections import Counter

import pytest

from genood.registry import Registry


def test_a_class_is_added_once() -> None:
    registry: Registry[Counter[str]] = Registry({"counter": "collections:Counter"})
    registry.register("ordered", "collections:OrderedDict")
    assert list(registry) == ["counter", "ordered"]
    assert registry["ordered"].__name__ == "OrderedDict"
    with pytest.raises(ValueError, match="'counter' is collections:Counter already"):
        registry.register("counter", "collections:deque")
