"""The only door to MLflow: runs, registered models and their aliases.

MLflow is imported on first use, since that takes more than a second. Its telemetry is switched off before the import, and nothing here
reaches a network unless the tracking URI names a server. Models are logged with a loader module and a folder of JSON and LightGBM text: no
pickle is written or read.
"""

from __future__ import annotations

import json
import logging
import os
import re
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

from decisioning.errors import NotFound, Unavailable
from training.model_run import ChampionBundle, ModelRun, ModelVersion, Published
from training.packaging import LOADER_MODULE, answers, example_frame, staged
from training.version_tags import CONTRACT_TAG, KEY_TAG, PREVIOUS_TAG, REASON_TAG, REPLACED_TAG, WORKSPACE_TAG, unfit

CHAMPION, CHALLENGER = "champion", "challenger"
REPORT_FILE = "report.json"
BUNDLE_FOLDER = "data/bundle"
REQUIREMENTS = ["lightgbm", "numpy", "pandas", "scikit-learn", "scipy"]
ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
"""How MLflow says that a registered model or an alias is not there."""


class Tracker:
    """MLflow for one workspace.

    Parameters
    ----------
    tracking_uri : str
        MLflow tracking URI with absolute paths; the model registry is the same store.
    project_name : str
        The workspace's name: the experiment, and the prefix of registered models.
    artifact_root : Path or None
        Folder of artifacts of a new experiment; None leaves it to the tracking server.
    workspace_id : str
        Kept on every version, so that a workspace of the same name elsewhere is told apart.
    """

    def __init__(self, tracking_uri: str, project_name: str, artifact_root: Path | None, *, workspace_id: str) -> None:
        self.tracking_uri = tracking_uri
        self.project_name = project_name
        self.artifact_root = artifact_root
        self.workspace_id = workspace_id

    def registered_name(self, model: str) -> str:
        """`demo-uplift` for `uplift`; a full name stays as it is."""
        prefix = f"{self.project_name}-"
        return model if model.startswith(prefix) else prefix + model

    def publish(self, run: ModelRun) -> Published:
        """Log one run with its model, register the model, give it its alias.

        The first version of a name becomes champion, and so does one whose champion cannot serve here (`give_alias`); any other becomes
        challenger and the champion stays.

        Raises
        ------
        Unavailable
            MLflow's store does not answer.
        """
        with self._fluent() as mlflow, mlflow.start_run(experiment_id=self._experiment_id, run_name=run.model) as active:
            mlflow.set_tags(self._tags(run))
            mlflow.log_params({_key(name): value for name, value in run.params.items()})
            mlflow.log_params({f"data_sha256.{table}": digest for table, digest in run.data_hashes.items()})
            mlflow.log_text(run.model_card, "model_card.md")
            report = {"metrics": dict(run.metrics), "warnings": list(run.warnings), "findings": list(run.findings)}
            mlflow.log_dict(report, REPORT_FILE)
            with tempfile.TemporaryDirectory(prefix="nudge-") as folder:
                for name, png in run.plots.items():
                    Path(folder, name).write_bytes(png)
                mlflow.log_artifacts(folder, "plots")
                for name, written in run.tables.items():
                    mlflow.log_artifact(_written(Path(folder, name), written))
            model_id = _log_bundle(mlflow, run)
            # Metrics that are there before their model are read again one by one and written a second time.
            mlflow.log_metrics({_key(name): float(value) for name, value in run.metrics.items()}, model_id=model_id)
            run_id = active.info.run_id
        return self._register(run, run_id, model_id)

    def champion_version(self, model: str) -> int | None:
        """The champion's version number, or None: one indexed read, cheap enough to poll."""
        found = self._by_alias(model, CHAMPION)
        return None if found is None else int(found.version)

    def champion_bundle(self, model: str) -> ChampionBundle:
        """The champion's bundle folder, version, run and tags.

        Raises
        ------
        NotFound
            No champion is registered, or its artifacts are gone.
        """
        found = self._by_alias(model, CHAMPION)
        if found is None:
            raise NotFound(f"no champion of '{self.registered_name(model)}' is registered", hint="run nudge train")
        return self._bundle(found)

    def bundle(self, model: str, version: int) -> ChampionBundle:
        """The bundle folder, run and tags of any version, champion or not.

        Raises
        ------
        NotFound
            There is no such version, or its artifacts are gone.
        """
        name = self.registered_name(model)
        with _plain_errors(self.tracking_uri):
            from mlflow.exceptions import MlflowException

            try:
                found = self._client.get_model_version(name, str(version))
            except MlflowException as error:
                if error.error_code in ABSENT:
                    raise NotFound(f"'{name}' has no version {version}", hint="it may have been deleted in MLflow") from None
                raise
        return self._bundle(found)

    def _bundle(self, found: Any) -> ChampionBundle:
        with _plain_errors(self.tracking_uri):
            source = self._client.get_model_version_download_uri(found.name, found.version)
            folder = Path(_mlflow().artifacts.download_artifacts(artifact_uri=source, tracking_uri=self.tracking_uri))
        if not (folder / BUNDLE_FOLDER).is_dir():
            raise NotFound(
                f"the artifacts of '{found.name}' version {found.version} are gone", got=str(folder), hint="run nudge train again"
            )
        return ChampionBundle(folder / BUNDLE_FOLDER, int(found.version), found.run_id, dict(found.tags))

    def names(self) -> list[str]:
        """This project's registered models."""
        with _plain_errors(self.tracking_uri):
            found = self._client.search_registered_models(filter_string=f"name LIKE '{self.project_name}-%'")
        return sorted(model.name for model in found)

    def versions(self, model: str) -> list[ModelVersion]:
        """Every version of a model, newest first; empty where the model is unknown."""
        name = self.registered_name(model)
        if name not in self.names():
            return []
        with _plain_errors(self.tracking_uri):
            found = self._client.search_model_versions(f"name = '{name}'")
            by_alias = self._client.get_registered_model(name).aliases
        aliases = {int(one.version): tuple(sorted(a for a, v in by_alias.items() if int(v) == int(one.version))) for one in found}
        rows = [ModelVersion(int(one.version), one.run_id, aliases[int(one.version)], dict(one.tags)) for one in found]
        return sorted(rows, key=lambda row: -row.version)

    def metrics(self, model: str, version: int) -> dict[str, float]:
        """The metrics of the run behind a version."""
        with _plain_errors(self.tracking_uri):
            run_id = self._client.get_model_version(self.registered_name(model), str(version)).run_id
            return dict(self._client.get_run(run_id).data.metrics)

    def versions_of_key(self, model: str, key: str) -> list[int]:
        """This workspace's versions that are made of the same, newest first."""
        ours = {WORKSPACE_TAG: self.workspace_id, KEY_TAG: key}
        return [one.version for one in self.versions(model) if ours.items() <= one.tags.items()]

    def report(self, model: str, version: int) -> dict[str, Any]:
        """What the run behind a version found: {metrics, warnings, findings}, names as they were.

        Raises
        ------
        NotFound
            The run was deleted, or its report is gone or damaged.
        """
        gone = NotFound(f"the run of '{self.registered_name(model)}' version {version} is gone", hint="run nudge train again")
        with _plain_errors(self.tracking_uri):
            from mlflow.exceptions import MlflowException

            run = self._client.get_run(self._client.get_model_version(self.registered_name(model), str(version)).run_id)
            if run.info.lifecycle_stage != "active":
                raise gone
            with tempfile.TemporaryDirectory(prefix="nudge-") as folder:
                try:
                    path = self._client.download_artifacts(run.info.run_id, REPORT_FILE, folder)
                    found = json.loads(Path(path).read_text(encoding="utf-8"))
                except (MlflowException, OSError, ValueError):
                    raise gone from None
        if not isinstance(found, dict) or not {"metrics", "warnings"} <= set(found):
            raise gone
        return {"findings": [], **found}  # earlier versions had none

    def table(self, model: str, version: int, name: str) -> bytes | None:
        """A file that was published beside a version (`ModelRun.tables`); None where there is none, or the run was deleted."""
        with _plain_errors(self.tracking_uri):
            from mlflow.exceptions import MlflowException

            run_id = self._client.get_model_version(self.registered_name(model), str(version)).run_id
            with tempfile.TemporaryDirectory(prefix="nudge-") as folder:
                try:
                    return Path(self._client.download_artifacts(run_id, name, folder)).read_bytes()
                except (MlflowException, OSError):
                    return None

    def tables(self, model: str, version: int, folder: str) -> list[str]:
        """The names of the files in a folder that was published beside a version; empty where the run was deleted."""
        with _plain_errors(self.tracking_uri):
            from mlflow.exceptions import MlflowException

            run_id = self._client.get_model_version(self.registered_name(model), str(version)).run_id
            try:
                return sorted(Path(one.path).name for one in self._client.list_artifacts(run_id, folder) if not one.is_dir)
            except (MlflowException, OSError):
                return []

    def give_alias(self, model: str, version: int) -> str:
        """The alias that a version has, or that it gets as if it were new: challenger, or champion where there is none that can serve.

        A champion cannot serve where another workspace trained it, nor where it reads another feature contract than this version: until
        somebody passed the gate for the new one, nothing would be decided at all. Its steps are kept as those of a promotion.
        """
        champion = self._by_alias(model, CHAMPION)
        if champion is not None and int(champion.version) == version:
            return CHAMPION
        new = self._client.get_model_version(self.registered_name(model), str(version)).tags
        reason = None if champion is None else unfit(champion.tags, int(champion.version), new)
        if champion is not None and reason is None:
            self.move_alias(model, CHALLENGER, version)
            return CHALLENGER
        self.move_alias(model, CHAMPION, version)
        if champion is not None and reason is not None:
            self.tag_version(model, version, {REPLACED_TAG: str(champion.version), REASON_TAG: reason})
            self.tag_version(model, int(champion.version), {PREVIOUS_TAG: f"replaced by version {version}"})
        return CHAMPION

    def champion_reads(self, model: str) -> str | None:
        """The hash of the feature contract that the champion was trained on; None where this workspace has none."""
        found = self._by_alias(model, CHAMPION)
        return None if found is None or found.tags.get(WORKSPACE_TAG) != self.workspace_id else str(found.tags.get(CONTRACT_TAG))

    def move_alias(self, model: str, alias: str, version: int | None) -> None:
        """Point `alias` at `version`; None takes it away."""
        name = self.registered_name(model)
        with _plain_errors(self.tracking_uri):
            if version is None:
                self._client.delete_registered_model_alias(name, alias)
            else:
                self._client.set_registered_model_alias(name, alias, str(version))

    def tag_version(self, model: str, version: int, tags: Mapping[str, str]) -> None:
        """Write tags on a version."""
        with _plain_errors(self.tracking_uri):
            for key, value in tags.items():
                self._client.set_model_version_tag(self.registered_name(model), str(version), key, value)

    @cached_property
    def _client(self) -> Any:
        _mlflow()
        from mlflow.tracking import MlflowClient

        if self.tracking_uri.startswith("sqlite:////"):
            Path(self.tracking_uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
        return MlflowClient(tracking_uri=self.tracking_uri, registry_uri=self.tracking_uri)

    @property
    def _experiment_id(self) -> str:
        found = self._client.get_experiment_by_name(self.project_name)
        if found is None:
            location = None if self.artifact_root is None else self.artifact_root.resolve().as_uri()
            return str(self._client.create_experiment(self.project_name, artifact_location=location))
        if found.lifecycle_stage == "deleted":
            self._client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)

    def _by_alias(self, model: str, alias: str) -> Any | None:
        with _plain_errors(self.tracking_uri):
            from mlflow.exceptions import MlflowException

            try:
                return self._client.get_model_version_by_alias(self.registered_name(model), alias)
            except MlflowException as error:
                if error.error_code in ABSENT:
                    return None
                raise

    def _tags(self, run: ModelRun) -> dict[str, str]:
        return {
            WORKSPACE_TAG: self.workspace_id,
            "nudge.model": run.model,
            "nudge.as_of": str(run.as_of),
            CONTRACT_TAG: run.bundle.contract_hash,
            KEY_TAG: run.key,
        }

    def _register(self, run: ModelRun, run_id: str, model_id: str) -> Published:
        name = self.registered_name(run.model)
        if name not in self.names():
            with _plain_errors(self.tracking_uri):
                self._client.create_registered_model(name, description=f"Nudge's {run.model} model of workspace {self.project_name}")
        with self._fluent():  # MLflow resolves the source `models:/...` in the process's own store
            made = self._client.create_model_version(name, f"models:/{model_id}", run_id, tags=self._tags(run), model_id=model_id)
        return Published(name, int(made.version), run_id, self.give_alias(run.model, int(made.version)))

    @contextmanager
    def _fluent(self) -> Iterator[ModuleType]:
        """MLflow's fluent functions on our store; the process's own settings come back afterwards."""
        mlflow = _mlflow()
        # MLflow exports both settings to the environment, for child processes.
        environment = {name: os.environ.get(name) for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")}
        before = mlflow.get_tracking_uri() if mlflow.is_tracking_uri_set() else None
        with _plain_errors(self.tracking_uri):
            try:
                mlflow.set_tracking_uri(self.tracking_uri)
                mlflow.set_registry_uri(self.tracking_uri)
                yield mlflow
            finally:
                mlflow.set_tracking_uri(before)
                mlflow.set_registry_uri(environment["MLFLOW_REGISTRY_URI"])
                for name, value in environment.items():
                    os.environ.pop(name, None) if value is None else os.environ.update({name: value})


def _mlflow() -> ModuleType:
    """MLflow without its telemetry, its progress bars, its migration log and its search for git."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    import mlflow

    for name in ("mlflow", "mlflow.store.db.utils", "mlflow.pyfunc", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"mlflow\.")  # of its own calls: nobody here can act on them
    return mlflow


@contextmanager
def _plain_errors(tracking_uri: str) -> Iterator[None]:
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        first_line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise Unavailable(f"MLflow did not answer: {first_line}", field="stores.tracking", got=tracking_uri) from error


def _written(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    return str(path)


def _key(name: str) -> str:
    """A parameter or metric name that MLflow takes: action ids are free text."""
    return re.sub(r"[^\w\-./ ]", "_", name)[:250]


def _log_bundle(mlflow: ModuleType, run: ModelRun) -> str:
    """Log the bundle as a pyfunc model with everything that loading it needs; returns MLflow's model id."""
    with staged(run) as files:
        info = mlflow.pyfunc.log_model(
            name=run.model,
            loader_module=LOADER_MODULE,
            data_path=str(files.bundle),
            code_paths=[str(path) for path in files.code],
            signature=_signature(run),
            input_example=example_frame(run),
            model_config={"model": run.model, "arms": [list(arm) for arm in run.arms]},
            pip_requirements=REQUIREMENTS,
        )
    return str(info.model_id)


def _signature(run: ModelRun) -> Any:
    """Feature columns in, one number an arm out.

    Numbers and booleans are of type `any`: MLflow would otherwise refuse an integer column without NULLs where a float one was declared.
    """
    from mlflow.models.signature import ModelSignature
    from mlflow.types import DataType
    from mlflow.types.schema import AnyType, ColSpec, ParamSchema, ParamSpec, Schema

    kinds: dict[str, Any] = {"string": DataType.string, "date": DataType.datetime, "timestamp": DataType.datetime}
    inputs: list[Any] = [ColSpec(kinds.get(dtype, AnyType()), name, required=False) for name, dtype in run.bundle.feature_dtypes.items()]
    outputs: list[Any] = [ColSpec(DataType.double, name) for name in answers(run)]
    params = ParamSchema([ParamSpec("as_of", DataType.string, str(run.as_of))])
    return ModelSignature(inputs=Schema(inputs), outputs=Schema(outputs), params=params)
