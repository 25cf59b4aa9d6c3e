"""Plans as the API makes and shows them: `nudge plan` as a job, and the files in exports/."""

from __future__ import annotations

from typing import Any

from decisioning.errors import Conflict, NotFound
from nudge.desks.plan_jobs import JOBS, PlanJobs
from nudge.desks.plan_processes import PlanProcesses
from nudge.ground.moments import moment
from nudge.ground.workspace import Workspace
from nudge.verbs.what_if import LimitChange, with_limits
from serving.plans.files import audience_of, channels_of, manifest_of, newest_manifests
from serving.ports.plans import AudienceFile
from serving.schemas.plans import LimitIn, PlanIn

SHOWN = 20
"""Jobs and plans in a list."""

_LISTED = ("plan_id", "created_at", "contacts", "selected", "expected_profit")


class WorkspacePlans:
    """`serving.ports.plans.PlanDesk` of one workspace."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._out = workspace.folder / "exports"
        self._processes = PlanProcesses(workspace.folder)
        self._jobs = PlanJobs(workspace.folder / "state" / "plan_jobs", self._processes)

    def start(self, asked: PlanIn) -> dict[str, Any]:
        """Have the plan made when its turn comes; limits that the catalogue does not have are refused at once."""
        limits = asked.constraints or []
        with_limits(self._workspace.read_catalog(), [LimitChange(one.id, one.max, one.min) for one in limits])
        as_of = None if asked.as_of is None else moment(asked.as_of.isoformat(), "as_of")
        arguments = ["plan", "-w", str(self._workspace.folder), "--json", "--progress"]
        arguments += [] if as_of is None else ["--as-of", as_of.isoformat()]
        arguments += ["--dry-run"] if asked.dry_run else []
        arguments += ["--prices-only"] if asked.prices_only else []
        arguments += [] if asked.sample is None else ["--sample", str(asked.sample)]
        arguments += [f"--limit={_as_option(one)}" for one in limits]
        question = bool(asked.dry_run or limits or asked.sample)
        return self.plan(self._jobs.start(arguments, asked.model_dump(mode="json", exclude_none=True), question=question))

    def listed(self) -> dict[str, Any]:
        """{jobs, plans}, newest first."""
        plans = [{**{name: one[name] for name in _LISTED}, "channels": channels_of(one)} for one in newest_manifests(self._out, SHOWN)]
        return {"jobs": [_shown(one) for one in self._jobs.newest(SHOWN)], "plans": plans}

    def plan(self, plan_id: str) -> dict[str, Any]:
        """A job, or a plan that was kept, by its id.

        Raises
        ------
        NotFound
            There is neither.
        """
        if plan_id.startswith(JOBS):
            return _shown(self._jobs.job(plan_id))
        manifest = manifest_of(self._out, plan_id)
        if manifest is None:
            raise NotFound("there is no such plan", field="plan_id", got=plan_id)
        files = [*manifest["files"], "manifest.json"]
        result = manifest | {"files": files, "dry_run": False}
        job = {"id": plan_id, "created_at": manifest["created_at"], "status": "completed", "progress": 1.0, "result": result}
        return job | {"plan_id": plan_id, "message": None, "reason": None}

    def audience(self, plan_id: str, channel: str, kind: str) -> AudienceFile:
        """See `audience_of`; a job's is its plan's.

        Raises
        ------
        Conflict
            The job is not completed, or was a dry run that writes no files.
        """
        if plan_id.startswith(JOBS):
            job = self._jobs.job(plan_id)
            if job["status"] != "completed":
                raise Conflict("the plan is not completed", field="plan_id", got=job["status"])
            if not job["result"]["files"]:
                raise Conflict("a dry run writes no files", field="plan_id", got=plan_id, hint="plan without dry_run")
            plan_id = job["result"]["plan_id"]
        return audience_of(self._out, plan_id, channel, kind)

    def close(self) -> None:
        """Stop what is under way."""
        self._jobs.close()


def _as_option(limit: LimitIn) -> str:
    """As `what_if.parse_limit` reads it, to the last bit."""
    least, most = ("" if one is None else repr(float(one)) for one in (limit.min, limit.max))
    return f"{limit.id}={least}..{most}"


def _shown(job: dict[str, Any]) -> dict[str, Any]:
    """A job without the paths of this machine: files by their names."""
    result = job["result"]
    if result is None:
        return {**job, "plan_id": None}
    files = [path.rsplit("/", 1)[-1] for path in result["files"]]
    return {**job, "plan_id": result["plan_id"], "result": {**result, "files": files}}
