"""`python -m nudge` is the command `nudge`."""

import os

# Before LightGBM is loaded: a thread that waits for others sleeps instead of spinning, several times faster on a busy machine.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from nudge.cli import main

if __name__ == "__main__":
    main()
