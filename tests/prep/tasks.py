"""A task for processes, which must be able to import it."""

from __future__ import annotations

import logging
import os
import time

from genood.errors import ConfigError, InputError

logger = logging.getLogger("genood.prep.toy")


def work(task: int) -> int:
    """Slower for smaller numbers, so that later tasks are done first; negative ones fail."""
    time.sleep(max(0, 4 - task) * 0.02)
    logger.warning("task %d", task)
    if task == -1:
        raise InputError("file", "is bad", record=3, line=4)
    if task == -2:
        raise ConfigError("is worse")
    if task == -3:
        os._exit(9)
    return task * task
