-- Run once, when the volume is empty: MLflow keeps its tables apart from the ledger's.
CREATE DATABASE mlflow;
