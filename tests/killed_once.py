"""`genood`, of which torchrun's second process is killed after step 4 unless it was started again."""

from __future__ import annotations

import os
import signal

from genood.cli import main
from genood.training.loop import Progress, Trainer

if __name__ == "__main__":
    one_step = Trainer._one_step

    def killed(self: Trainer, progress: Progress | None) -> None:
        one_step(self, progress)
        if os.environ["RANK"] == "1" and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0" and self.step == 4:
            os.kill(os.getpid(), signal.SIGKILL)

    Trainer._one_step = killed  # type: ignore[method-assign]
    main()
