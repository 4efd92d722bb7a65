"""Draw a run of the pipeline as one page a person enjoys reading."""

from components.report.build import ModelRun, RunRecord, write_report
from components.report.sheet import contact_sheet

__all__ = ["ModelRun", "RunRecord", "contact_sheet", "write_report"]
