"""Bill of materials (CycloneDX) and known vulnerabilities (pip-audit) of the installed packages.

    python tools/supply_chain.py --out results/supply_chain

Works without a network and without either tool, and then reports what was not checked. (pip-audit
itself reports "no known vulnerabilities" if it cannot look anything up.) The exit code is 1 if a
vulnerability is known and, with --strict, if anything was not checked. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

TIMEOUT_S = 300


def main() -> int:
    """Write the bill of materials and the audit; return the exit code."""
    parser = argparse.ArgumentParser(description="Bill of materials (CycloneDX) and known vulnerabilities (pip-audit).")
    parser.add_argument("--out", type=Path, default=Path("results/supply_chain"), help="folder for sbom.cdx.json and audit.json")
    parser.add_argument("--python", default=sys.executable, help="interpreter whose packages are checked")
    parser.add_argument("--strict", action="store_true", help="exit with 1 also if something was not checked")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    not_done: list[str] = []
    components = bill_of_materials(arguments.python, arguments.out / "sbom.cdx.json", not_done)
    found = audit(arguments.python, arguments.out / "audit.json", not_done)
    for package, version, names in found["vulnerable"]:
        print(f"KNOWN VULNERABILITY  {package} {version}: {', '.join(names)}")
    print(f"bill of materials: {components} components" if components else "bill of materials: failed")
    print(f"packages checked: {found['checked']}, not checked: {found['unchecked']}, vulnerable: {len(found['vulnerable'])}")
    for reason in not_done:
        print(f"not done: {reason}")
    summary = {"components": components, "checked": found["checked"], "unchecked": found["unchecked"]}
    print(json.dumps(summary | {"vulnerable": len(found["vulnerable"]), "not_done": not_done}))
    return int(bool(found["vulnerable"]) or (arguments.strict and bool(not_done)))


def bill_of_materials(python: str, target: Path, not_done: list[str]) -> int:
    """Write the bill of materials of an interpreter's packages; return the number of components, 0 on failure."""
    command = [
        sys.executable,
        "-m",
        "cyclonedx_py",
        "environment",
        python,
        "--output-reproducible",
        "--of",
        "JSON",
        "-o",
        str(target),
    ]
    if Path("pyproject.toml").is_file():
        command[5:5] = ["--pyproject", "pyproject.toml"]
    answer = run(command)
    if answer is None or answer.returncode or not target.is_file():
        not_done.append(f"bill of materials ({why(answer, 'cyclonedx_py', 'cyclonedx-bom')})")
        return 0
    return len(json.loads(target.read_text(encoding="utf-8"))["components"])


def audit(python: str, target: Path, not_done: list[str]) -> dict[str, Any]:
    """Return the vulnerable packages and the numbers of checked and unchecked ones; write pip-audit's report."""
    where = run([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"])
    path = where.stdout.strip() if where else ""
    answer = run([sys.executable, "-m", "pip_audit", "--format", "json", "--progress-spinner", "off", "--path", path])
    try:
        packages = json.loads(answer.stdout)["dependencies"] if answer else None
    except (json.JSONDecodeError, KeyError, TypeError):
        packages = None
    if packages is None:
        not_done.append(f"known vulnerabilities ({why(answer, 'pip_audit', 'pip-audit')})")
        return {"vulnerable": [], "checked": 0, "unchecked": 0}
    target.write_text(json.dumps(packages, indent=2) + "\n", encoding="utf-8")
    skipped = [package["name"] for package in packages if "skip_reason" in package]
    if skipped:
        not_done.append(f"{len(skipped)} packages were not found in the vulnerability service (offline, or a mirror without it)")
    vulnerable = [(p["name"], p["version"], [v["id"] for v in p["vulns"]]) for p in packages if p.get("vulns")]
    return {"vulnerable": vulnerable, "checked": len(packages) - len(skipped), "unchecked": len(skipped)}


def run(command: list[str]) -> subprocess.CompletedProcess[str] | None:
    """Return the result of a command, or None if it could not run or took too long."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None


def why(answer: subprocess.CompletedProcess[str] | None, module: str, package: str) -> str:
    """Return the reason why a tool gave no result."""
    if answer is None:
        return f"{package} could not be run, or took longer than {TIMEOUT_S} s"
    if f"No module named {module}" in answer.stderr:
        return f"{package} is not installed: pip install {package}"
    last = answer.stderr.strip().splitlines()
    return f"{package}: {last[-1][:200]}" if last else f"{package} failed with exit code {answer.returncode}"


if __name__ == "__main__":
    sys.exit(main())
