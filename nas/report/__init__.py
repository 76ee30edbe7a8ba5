"""What a run found, in pictures and on one page that needs no network and no program of ours.

    write_report(run, ReportContent(...))       run/figures/*.png and run/report.html

The content is plain data, which the pipeline gathers from the run folder's files.
"""

from __future__ import annotations

from nas.report.content import ReportContent
from nas.report.page import write_report

__all__ = ["ReportContent", "write_report"]
