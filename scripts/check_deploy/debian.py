"""deploy/debian: the units as systemd reads and rates them, and the settings as the program reads them.

scripts/package-test installs the package and runs it; this is what needs no system of its own.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from botocore.configloader import raw_config_parse
from moto.server import ThreadedMotoServer

from .report import DEPLOY, Report

DEBIAN = DEPLOY / "debian"
KEYS = DEBIAN / "examples" / "print-keys"
UNITS = Path("/usr/lib/systemd/system")
# Times ten, as in scripts/package-test: 1.5.
EXPOSURE = 15


def check(report: Report) -> str:
    files = [file for file in sorted(DEBIAN.rglob("*")) if file.is_file()]
    report.cover(*files)
    with tempfile.TemporaryDirectory() as folder:
        units = rooted(Path(folder))
        timers = [f"amp-sidecar-{what}.{kind}" for what in ("token", "keys") for kind in ("service", "timer")]
        for unit in ("amp-sidecar.service", *timers, "prometheus.service"):
            verify(report, Path(folder), units / unit)
        report.run("systemd-analyze", "security", "--offline=true", f"--root={folder}", f"--threshold={EXPOSURE}", "--no-pager",
                   "amp-sidecar.service", what="amp-sidecar.service is less hardened")
        report.run("systemd-sysusers", "--dry-run", f"--root={folder}", DEBIAN / "amp-sidecar.sysusers", what="amp-sidecar.sysusers")
    report.run("shellcheck", DEBIAN / "postrm", KEYS, what="scripts")
    keys(report)
    settings(report)
    return f"{len(files)} files of the Debian package"


def rooted(root: Path) -> Path:
    """A machine on which the package is installed, as far as systemd looks at it."""
    shutil.copytree(UNITS, root / UNITS.relative_to("/"), symlinks=True)
    units = root / "etc" / "systemd" / "system"
    (units / "prometheus.service.d").mkdir(parents=True)
    for program in ("usr/bin/amp-sidecar", "usr/bin/curl", "bin/sh"):
        file = root / program
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o755)
    (root / "etc" / "default").mkdir()
    shutil.copy(DEBIAN / "amp-sidecar.default", root / "etc" / "default" / "amp-sidecar")
    shutil.copy(DEBIAN / "amp-sidecar.service", units)
    for unit in DEBIAN.glob("examples/amp-sidecar-*"):
        shutil.copy(unit, units)
    # As Debian's unit as far as the drop-in cares.
    (units / "prometheus.service").write_text("[Service]\nExecStart=/usr/bin/amp-sidecar\n")
    shutil.copy(DEBIAN / "examples" / "prometheus.conf", units / "prometheus.service.d" / "amp-sidecar.conf")
    return units


def verify(report: Report, root: Path, unit: Path) -> None:
    """A setting that systemd does not know is a warning to it, and it would run without."""
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", f"--root={root}", str(unit)], capture_output=True, text=True)
    said = [line for line in done.stderr.splitlines() if unit.name in line or str(unit.parent) in line]
    report.expect(done.returncode == 0 and not said, f"{unit.name}: systemd-analyze verify: {done.stderr.strip()}")


def keys(report: Report) -> None:
    """The example prints a file that the AWS SDKs read, and nothing where STS gives nothing."""
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    own = {"AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none", "AWS_DEFAULT_REGION": "eu-central-1", "AWS_MAX_ATTEMPTS": "1"}

    def printed(endpoint: str) -> tuple[int, str]:
        env = {"PATH": os.environ["PATH"], **own, "AWS_ENDPOINT_URL_STS": endpoint}
        done = subprocess.run(["sh", KEYS], capture_output=True, text=True, env=env)
        return done.returncode, done.stdout

    code, text = printed(f"http://{host}:{port}")
    server.stop()
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(text)
        file.flush()
        profile = raw_config_parse(file.name).get("default", {})
    names = ["aws_access_key_id", "aws_secret_access_key", "aws_session_token"]
    report.equal((code, sorted(profile), all(profile.values())), (0, names, True), "print-keys: a profile with three keys")
    code, text = printed(f"http://{host}:{port}")
    report.expect(code != 0 and not text, "print-keys: it prints something where STS does not answer")


def settings(report: Report) -> None:
    """The program accepts every line of the settings, those in comments too."""
    lines = re.findall(r"^#?([A-Z][A-Z_]*)=(\S+)$", (DEBIAN / "amp-sidecar.default").read_text(), re.MULTILINE)
    lines += re.findall(r"^Environment=([A-Z_]+)=(\S+)$", (DEBIAN / "amp-sidecar.service").read_text(), re.MULTILINE)
    report.expect(len(lines) > 10, f"the settings were not understood: {lines}")
    # The file of several workspaces is the reader's own.
    given = {name: value for name, value in lines if name != "AMP_SIDECAR_CONFIG"}
    done = subprocess.run([os.environ["AMP_SIDECAR"], "config"], capture_output=True, text=True, env=given)
    report.expect(done.returncode == 0, f"amp-sidecar.default: {done.stderr.strip()}")
