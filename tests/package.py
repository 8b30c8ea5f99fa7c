"""Build the package, install the wheel where there is nothing else, and run an example there.

`make package`. A test of a checkout says nothing about what a wheel leaves out.
"""

import shutil
import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

from tests.support.agents import clean_environment, dev_agent
from tests.support.consul_binary import ConsulBinaryError

ROOT = Path(__file__).resolve().parents[1]
DIST = ROOT / "dist"
EXAMPLE = ROOT / "examples" / "put_and_get.py"
WHERE = "import consul_onex; print(consul_onex.__file__, consul_onex.__version__)"


def main() -> int:
    shutil.rmtree(DIST, ignore_errors=True)
    print("Building ...", flush=True)
    run(sys.executable, "-m", "build", "--outdir", str(DIST), str(ROOT))
    (wheel,) = DIST.glob("*.whl")
    (sdist,) = DIST.glob("*.tar.gz")
    print(f"{sdist.name}, {wheel.name}: {len(contents(wheel))} files")

    with tempfile.TemporaryDirectory(prefix="wheel-") as directory:
        print("Installing the wheel in an empty environment ...", flush=True)
        venv.create(directory, with_pip=True)
        python = str(Path(directory) / "bin" / "python")
        run(python, "-m", "pip", "--quiet", "--disable-pip-version-check", "install", str(wheel))
        # -I: neither this directory nor the example's is looked in.
        where = run(python, "-I", "-c", WHERE)
        if not Path(where.split()[0]).is_relative_to(Path(directory).resolve()):
            raise SystemExit(f"the wheel is not what was imported, but {where}")
        with dev_agent() as agent:
            print(run(python, "-I", "-W", "error", str(EXAMPLE), CONSUL_HTTP_ADDR=agent.url))
    return 0


def contents(wheel: Path) -> list[str]:
    """The files of the wheel, which are the package's, all of them, and no others."""
    names = [name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name]
    here = [path for path in (ROOT / "consul_onex").rglob("*") if path.is_file()]
    expected = {str(path.relative_to(ROOT)) for path in here if path.suffix != ".pyc"}
    expected.add("_consul_onex_pytest.py")
    if set(names) != expected or "consul_onex/py.typed" not in names:
        raise SystemExit(
            f"the wheel has other files: {sorted(expected.symmetric_difference(names))}"
        )
    return names


def run(*command: str, **environment: str) -> str:
    done = subprocess.run(
        command,
        env={**clean_environment(), **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout.rstrip()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ConsulBinaryError as error:
        sys.exit(str(error))
