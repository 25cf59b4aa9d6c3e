"""Make LightGBM loadable on a bare Linux: it expects the system's OpenMP runtime (libgomp), which a minimal Debian does not have.

scikit-learn brings a copy under a name of its own. Where LightGBM cannot be loaded, that copy is put beside it under the name that LightGBM
looks for, and a .pth file loads it whenever this environment's Python starts. Run by `make setup`; does nothing where nothing is missing.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

WANTED = b"libgomp.so.1"
SITE = Path(sysconfig.get_path("purelib"))


def lightgbm_loads() -> bool:
    """Whether a fresh Python of this environment can import LightGBM."""
    return subprocess.run([sys.executable, "-c", "import lightgbm"], capture_output=True, check=False).returncode == 0


def provide(site: Path) -> None:
    """Put scikit-learn's runtime under the wanted name, where scikit-learn has one."""
    for bundled in sorted(site.glob("scikit_learn.libs/libgomp-*.so*")):
        own_name = bundled.name.encode()
        library = bundled.read_bytes().replace(own_name + b"\0", WANTED.ljust(len(own_name), b"\0") + b"\0")
        folder = site / "openmp_runtime"
        folder.mkdir(exist_ok=True)
        copy = folder / WANTED.decode()
        copy.write_bytes(library)
        (site / "openmp_runtime.pth").write_text(f"import ctypes; ctypes.CDLL({str(copy)!r}, mode=ctypes.RTLD_GLOBAL)\n", encoding="utf-8")
        return


def main() -> int:
    """Exit code 1, with the package to install, where LightGBM cannot be made to load."""
    if lightgbm_loads():
        return 0
    provide(SITE)
    if lightgbm_loads():
        return 0
    sys.stderr.write(
        "LightGBM cannot be loaded: it needs the OpenMP runtime of the system. "
        "Hint: apt-get install libgomp1 on Debian and Ubuntu, brew install libomp on macOS; then make setup again\n"
    )
    return 1


if __name__ == "__main__":
    sys.exit(main())
