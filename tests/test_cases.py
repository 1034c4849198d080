"""Every script of the shared cases about data passes: each makes an input from a public bug report and says what is right.

The right values stand in tests of their own, which make their inputs themselves (``test_data_as_people_have_it.py`` and others).
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CASES = (
    *(
        "01_valid_folder",
        "02_classes_for_train_and_evaluate",
        "03_csv_with_bom",
        "04_zip_of_csv",
        "05_tar_gz",
        "06_renamed_images",
    ),
    *("08_track_names_as_numbers", "09_password_with_at", "10_proxy_and_this_computer", "11_user_agent"),
    *("13_retry_after_at_the_end", "14_output_not_utf8", "15_disk_full_in_training", "17_first_week_of_monitoring"),
    *("18_loss_not_finite", "19_macro_f1_of_fewer_classes", "20_train_in_train", "22_archive_in_archive", "23_libpq_words"),
)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("case", CASES)
def test_a_case_from_a_bug_report_is_right(case: str, shared: Path, tmp_path: Path) -> None:
    scripts = shared / "cases" / "data"
    assert {path.stem for path in scripts.glob("[0-9]*.sh")} == set(CASES)
    program = tmp_path / "mien"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -P -m mien "$@"\n')
    program.chmod(0o755)
    # -P and its variable: a script's folder on the path would hide a module of the standard library
    environment = os.environ | {"MIEN": str(program), "PYTHON": sys.executable, "PYTHONSAFEPATH": "1"}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(Path.cwd()), os.environ.get("PYTHONPATH", ""))))
    command = ["bash", str(scripts / f"{case}.sh"), str(shared), str(tmp_path / "out")]
    answer = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=1700, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr
