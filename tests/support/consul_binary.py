"""Find a real `consul`, or fetch one, so that the tests run against the real thing.

The standard library only: `make consul` runs this file before there is a virtualenv.

Debian shipped Consul up to bullseye, so a Debian machine of any release can fetch it from the
mirror it already uses. apt works here with sources, lists and cache of its own, in a directory that
is deleted afterwards: the system's stay as they are, no root is needed, and the package is verified
with Debian's key as always.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / ".consul"
SUITE = "bullseye"

HOW_TO_GET_ONE = (
    "Install Consul from HashiCorp's packages or your distribution's, "
    "or set CONSUL_BIN to the path of a consul executable."
)

# Any of these may be there, by Debian's release; apt accepts the suite if one of them signed it.
KEYRINGS = (
    "/usr/share/keyrings/debian-archive-keyring.gpg",
    "/usr/share/keyrings/debian-archive-keyring.pgp",
    "/usr/share/keyrings/debian-archive-bullseye-stable.gpg",
    "/usr/share/keyrings/debian-archive-bullseye-automatic.gpg",
)

# Hooks of the system's configuration refresh the system's caches: not after an update of ours.
NO_HOOKS = """\
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
"""


class ConsulBinaryError(Exception):
    """There is no usable consul; the text says what to do about it."""


def find() -> Path | None:
    """The consul to test with: $CONSUL_BIN, else the one on PATH, else the one fetched before.

    A CONSUL_BIN that cannot be run raises: to test silently with another one would be a lie.
    """
    if named := os.environ.get("CONSUL_BIN"):
        path = Path(named).absolute()
        if not _is_executable(path):
            raise ConsulBinaryError(f"CONSUL_BIN is {named!r}, which is not an executable file.")
        return path
    if found := shutil.which("consul"):
        return Path(found).absolute()
    return HOME / "consul" if _is_executable(HOME / "consul") else None


def obtain() -> Path:
    """The consul that is there, otherwise Debian's, fetched into `.consul/` once."""
    return find() or _fetch()


def version(binary: Path) -> str:
    """The first line of `consul version`."""
    return _run([str(binary), "version"]).partition("\n")[0]


def _fetch() -> Path:
    """Fetch in a directory of this run's own and rename at the end.

    Runs at the same time do not meet, and an interrupted one leaves no half binary.
    """
    if not (shutil.which("apt-get") and shutil.which("dpkg")):
        raise ConsulBinaryError(f"No consul here, and no apt to fetch one with. {HOW_TO_GET_ONE}")
    HOME.mkdir(exist_ok=True)
    (HOME / ".gitignore").write_text("*\n")
    with tempfile.TemporaryDirectory(prefix="apt-", dir=HOME) as work:
        executable = _unpacked(_downloaded(Path(work)))
        executable.chmod(0o755)
        version(executable)
        os.replace(executable, HOME / "consul")
    return HOME / "consul"


def _downloaded(work: Path) -> Path:
    """The package, from the first of the configured mirrors that has it."""
    keyrings = [path for path in KEYRINGS if os.access(path, os.R_OK)]
    if not keyrings:
        raise ConsulBinaryError(f"Debian's archive keyring is not installed. {HOW_TO_GET_ONE}")
    reason = "apt has no Debian mirror configured"
    for number, mirror in enumerate(_mirrors()):
        try:
            return _download(work / str(number), mirror, keyrings)
        except ConsulBinaryError as error:
            reason = str(error)
    raise ConsulBinaryError(
        f"apt could not fetch Debian {SUITE}'s consul ({reason}). {HOW_TO_GET_ONE}"
    )


def _mirrors() -> list[str]:
    """The repositories apt is configured with, those that look like Debian's first.

    apt itself is asked, as it alone reads every format of its sources. `--no-release-info` makes it
    answer before the first `apt-get update` as well.
    """
    layout = ["--format", "$(REPO_URI) $(RELEASE)"]
    listing = _run(
        ["apt-get", "indextargets", "--no-release-info", *layout, "Created-By: Packages"]
    )
    rows = [line.split() for line in listing.splitlines()]
    # A security repository holds other suites, never this one.
    found = dict.fromkeys(
        row[0].rstrip("/") for row in rows if len(row) == 2 and not row[1].endswith("-security")
    )
    return sorted(found, key=lambda uri: "debian" not in uri.lower())


def _download(work: Path, mirror: str, keyrings: Sequence[str]) -> Path:
    for name in ("lists/partial", "cache/archives/partial", "none", "package"):
        (work / name).mkdir(parents=True)
    (work / "hooks.conf").write_text(NO_HOOKS)
    # No package counts as installed here, or an installed, newer consul would be the candidate.
    (work / "status").touch()
    architecture = _run(["dpkg", "--print-architecture"]).strip()
    options = f"arch={architecture} lang=none target=Packages signed-by={','.join(keyrings)}"
    (work / "sources.list").write_text(f"deb [{options}] {mirror} {SUITE} main\n")
    _run(["apt-get", "-qq", *_private(work), "update"])
    _run(["apt-get", "-qq", *_private(work), "download", "consul"], cwd=work / "package")
    return next((work / "package").glob("consul_*.deb"))


def _private(work: Path) -> list[str]:
    """Options that keep apt within `work`; proxies and credentials remain the system's."""
    options = {
        "Dir::Etc::sourcelist": work / "sources.list",
        "Dir::Etc::sourceparts": work / "none",
        "Dir::Etc::preferences": work / "none" / "preferences",
        "Dir::Etc::preferencesparts": work / "none",
        "Dir::State": work,
        "Dir::State::lists": work / "lists",
        "Dir::State::status": work / "status",
        "Dir::Cache": work / "cache",
        "Dir::Cache::archives": work / "cache" / "archives",
        "APT::Default-Release": SUITE,
        # Root's apt would otherwise write as the user _apt, who may not enter this directory.
        "APT::Sandbox::User": "root",
        "APT::Update::Error-Mode": "any",
        "Acquire::Retries": 2,
        "Acquire::http::Timeout": 30,
        "Acquire::https::Timeout": 30,
    }
    pairs = [part for key, value in options.items() for part in ("-o", f"{key}={value}")]
    return ["-c", str(work / "hooks.conf"), *pairs]


def _unpacked(package: Path) -> Path:
    files = package.parent / "files"
    _run(["dpkg", "-x", str(package), str(files)])
    return files / "usr" / "bin" / "consul"


def _run(command: Sequence[str], cwd: Path | None = None) -> str:
    """The output; a command that fails raises with its reason, in English."""
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        done = subprocess.run(
            command, check=False, cwd=cwd, env=environment, capture_output=True, text=True
        )
    except OSError as error:
        raise ConsulBinaryError(f"{command[0]} does not run: {error.strerror}") from error
    if done.returncode:
        raise ConsulBinaryError(f"{command[0]} failed: {_reason(done.stderr)}")
    return done.stdout


def _reason(stderr: str) -> str:
    """apt's first error, which names the cause; the later ones only say that there was one."""
    lines = stderr.strip().splitlines() or ["it gave no reason"]
    return next((line for line in lines if line.startswith("E:")), lines[-1])


def _is_executable(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)


def main() -> int:
    """Say which consul the tests use, after fetching it where there was none."""
    try:
        binary = find()
        if binary is None:
            print(f"No consul found; fetching Debian {SUITE}'s into .consul/ ...", flush=True)
            binary = obtain()
        print(f"{binary}: {version(binary)}")
    except (ConsulBinaryError, OSError) as error:
        print(f"{error}", file=sys.stderr)
        if HOW_TO_GET_ONE not in str(error):
            print(HOW_TO_GET_ONE, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
