"""Allocation against HiGHS: how far from the best a plan may be, what it takes, and what the same linear programme takes an LP solver.

Every run is a process of its own (`python -m benchmarks.allocation WHO CONTACTS CANDIDATES`), so that its peak memory is its own. Time and
CPU time are those of the allocation alone, or of the solver's call alone, with the libraries loaded: what a new process takes for that, and
a new machine to compile, are figures of their own. HiGHS' interior point method is only asked to solve the linear relaxation: whole offers
it does not finish at these sizes.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import csr_array, vstack

from benchmarks.allocation_world import population
from benchmarks.commands import ROOT
from benchmarks.results import Figure
from decisioning.allocation import Limits, Offers, allocate

SIZES = ((10_000, 20), (10_000, 60), (100_000, 20), (100_000, 60), (1_000_000, 20), (1_000_000, 60))
WITH_PEER = ((10_000, 20), (10_000, 60), (100_000, 20))
GAPS = {10_000: "<= 1e-3", 100_000: "<= 2e-4", 1_000_000: "<= 1e-5"}
PEER_SECONDS = 600
PEER = "HiGHS interior point, linear programme"


def measure() -> Sequence[Figure]:
    """Gap, CPU and memory at each size, beside HiGHS where it ends in time, and what compiling costs a new machine once."""
    with tempfile.TemporaryDirectory() as folder:
        cold = _run("ours", *SIZES[0], {"NUMBA_CACHE_DIR": folder})
    figures = [
        Figure("allocation.first call ever on a machine, compiling", cold["loading"], "seconds"),
        Figure("allocation.first call in a process, loading what is compiled", _run("ours", *SIZES[0])["loading"], "seconds"),
    ]
    for contacts, candidates in SIZES:
        ours = _run("ours", contacts, candidates)
        peer = _run("highs", contacts, candidates) if (contacts, candidates) in WITH_PEER else None
        figures += _figures(f"allocation.{contacts:,} x {candidates}", contacts, ours, peer)
    return figures


def _figures(name: str, contacts: int, ours: dict[str, Any], peer: dict[str, Any] | None) -> list[Figure]:
    figures = [
        Figure(f"{name}: gap to the dual bound", ours["gap"], "of what there was to win", goal=GAPS[contacts]),
        Figure(f"{name}: time", ours["seconds"], "seconds", goal="<= 60"),
        Figure(f"{name}: peak memory, the offers included", ours["gigabytes"], "GB", goal="<= 2"),
    ]
    if peer is None:
        return [*figures, Figure(f"{name}: CPU", ours["cpu"], "seconds")]
    said = PEER if peer["optimum"] is not None else f"{PEER}, stopped unfinished after {PEER_SECONDS} s"
    goal = ">= 100 x" if contacts == 100_000 else None
    figures.append(Figure(f"{name}: allocations a CPU second", 1 / ours["cpu"], "1/s CPU", said, 1 / peer["cpu"], goal))
    if peer["optimum"] is not None:
        off = abs(ours["bound"] / peer["optimum"] - 1)
        figures.append(Figure(f"{name}: bound, off the linear programme's optimum", off, "as a fraction", goal="<= 1e-4"))
        figures.append(Figure(f"{name}: memory", ours["gigabytes"], "GB", PEER, peer["gigabytes"]))
    return figures


def _run(who: str, contacts: int, candidates: int, environment: dict[str, str] | None = None) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.allocation", who, str(contacts), str(candidates)]
    given = {**os.environ, "OMP_NUM_THREADS": "1", **(environment or {})}
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, env=given)
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    print(f"  {who} {contacts:,} x {candidates}: {found}", file=sys.stderr, flush=True)
    return found


def _ours(offers: Offers, limits: Limits, n_contacts: int) -> dict[str, float]:
    made = allocate(offers, limits, n_contacts)
    used = made.used
    assert (used <= limits.most).all() and (used >= limits.least).all()
    return {"gap": made.gap, "bound": made.bound, "value": made.value}


def _highs(offers: Offers, limits: Limits, n_contacts: int) -> dict[str, float | None]:
    """The linear relaxation as any user of SciPy would pass it on."""
    n = len(offers.value)
    one_each = csr_array((np.ones(n), (offers.contact, np.arange(n))), shape=(n_contacts, n))
    use = csr_array(offers.uses[offers.profile].T)
    above, below = np.flatnonzero(np.isfinite(limits.most)), np.flatnonzero(limits.least > 0)
    matrix = vstack([one_each, use[above], -use[below]], format="csr")
    right = np.concatenate([np.ones(n_contacts), limits.most[above], -limits.least[below]])
    options = {"time_limit": PEER_SECONDS}
    found = linprog(-offers.value, A_ub=matrix, b_ub=right, bounds=(0, None), method="highs-ipm", options=options)
    return {"optimum": -float(found.fun) if found.status == 0 else None}


def main(who: str, n_contacts: int, n_candidates: int) -> None:
    """One run: what it found and took, as JSON."""
    began = time.perf_counter()
    if who == "ours":
        _ours(*population(*SIZES[0]), SIZES[0][0])
    loading = time.perf_counter() - began
    offers, limits = population(n_contacts, n_candidates)
    began, cpu = time.perf_counter(), time.process_time()
    found: dict[str, Any] = dict((_ours if who == "ours" else _highs)(offers, limits, n_contacts))
    found |= {"seconds": time.perf_counter() - began, "cpu": time.process_time() - cpu, "offers": len(offers.value), "loading": loading}
    found["gigabytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
