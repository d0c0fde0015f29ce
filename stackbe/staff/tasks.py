"""The console's jobs."""

from __future__ import annotations

from stackbe.staff import notices

# Importing it declares the job to the worker.
JOBS = (notices.mail_staff_notice,)
