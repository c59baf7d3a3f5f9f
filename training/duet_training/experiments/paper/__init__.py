"""The paper's tables on its own hardware: one plan of data, trainings, evaluations and the report."""
