"""`python -m nudge` is the command `nudge`."""

import os

# Before LightGBM and NumPy are loaded: a thread that waits for others sleeps instead of spinning, which on a busy machine is several times faster.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from nudge.cli import main  # noqa: E402

if __name__ == "__main__":
    main()
