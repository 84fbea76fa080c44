"""What was found, and which files were looked at."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"


@dataclass(frozen=True)
class Document:
    """One Kubernetes object, where it comes from, and the Kubernetes versions that it is for."""

    where: str
    body: dict
    versions: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{self.where}: {self.body.get('kind')}/{self.body.get('metadata', {}).get('name')}"


@dataclass
class Report:
    """Collects, so that one run shows all that is wrong."""

    covered: set[Path] = field(default_factory=set)
    checks: int = 0
    faults: list[str] = field(default_factory=list)

    def cover(self, *paths: Path) -> None:
        for path in paths:
            if not path.is_file():
                self.fault(f"{path}: named, but not there")
            self.covered.add(path.resolve())

    def fault(self, text: str) -> None:
        self.faults.append(text)
        print(f"FAULT {text}")

    def expect(self, holds: bool, text: str) -> None:
        self.checks += 1
        if not holds:
            self.fault(text)

    def equal(self, found: object, expected: object, what: str) -> None:
        self.expect(found == expected, f"{what}: expected {expected!r}, found {found!r}")

    def run(self, *command: object, what: str) -> str:
        """Runs a tool; what it prints is a fault where it fails."""
        done = subprocess.run([str(part) for part in command], cwd=ROOT, capture_output=True, text=True)
        self.expect(done.returncode == 0, f"{what}: {Path(str(command[0])).name}: {(done.stdout + done.stderr).strip()}")
        return done.stdout

    def uncovered(self) -> None:
        for path in sorted(DEPLOY.rglob("*")):
            if path.is_file() and path.resolve() not in self.covered:
                self.fault(f"{path.relative_to(ROOT)}: no check covers it")
