"""Makes .venv and installs what is needed into it. Runs on the system's Python, standard library only.

python3 deploy/bootstrap.py [--dev]     (make does this; a second run with nothing new is instant)
"""

import hashlib
import os
import platform
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
TORCH = "2.13.0"
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
OLDEST = (3, 11)


def main(arguments):
    if sys.version_info < OLDEST:
        fail(
            f"Python 3.11 or newer is needed, this is {platform.python_version()}; "
            "set PYTHON=/path/to/python3.11"
        )
    files = ["requirements.txt", "requirements-dev.txt"] if "--dev" in arguments else ["requirements.txt"]
    common = ["requirements-api.txt", "constraints.txt", "deploy/bootstrap.py"]
    stamps = {VENV / (".installed-" + name): fingerprint([*common, name]) for name in files}
    if all(stamp.is_file() and stamp.read_text() == wanted for stamp, wanted in stamps.items()):
        return
    make_environment()
    install_torch()
    say(f"installing {' and '.join(files)}")
    pip("-c", "constraints.txt", *[part for name in files for part in ("-r", name)])
    for stamp, wanted in stamps.items():
        stamp.write_text(wanted)


def fingerprint(names):
    """Changes with any of the files, with the Python that runs this, and with a new GPU."""
    digest = hashlib.sha256(f"{sys.version} {has_nvidia_gpu()}".encode())
    for name in names:
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def make_environment():
    if succeeds(str(VENV / "bin" / "python"), "-m", "pip", "--version"):
        return
    say("making .venv")
    if not succeeds(sys.executable, "-m", "venv", "--clear", str(VENV)):
        fail(
            "Python's venv module does not work here; install it and run this again "
            "(Debian and Ubuntu: apt install python3-venv)"
        )


def succeeds(*command):
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def install_torch():
    """The CPU build unless there is an NVIDIA GPU: PyPI's Linux build brings 2.7 GB of CUDA."""
    say("installing PyTorch (the first time takes a few minutes)")
    first, second = torch_sources(has_nvidia_gpu(), sys.platform, platform.machine())
    if pip(*first, quiet=second is not None, required=second is None) != 0:
        pip(*second)


def torch_sources(nvidia, system, machine):
    """pip arguments to try first, and those to try if that fails (None: nothing else).

    A `+cpu` wheel that pip already finds (a local folder, a company's index) comes before PyTorch's index.
    """
    if nvidia or system != "linux" or machine != "x86_64":
        return ["torch==" + TORCH], None
    build = f"torch=={TORCH}+cpu"
    return [build], [build, "--extra-index-url", CPU_INDEX]


def has_nvidia_gpu():
    return Path("/proc/driver/nvidia/version").exists() or Path("/dev/nvidia0").exists()


def pip(*arguments, quiet=False, required=True):
    command = [str(VENV / "bin" / "python"), "-m", "pip", "install", "-qq", "--no-input"]
    environment = dict(os.environ, PIP_DISABLE_PIP_VERSION_CHECK="1")
    output = subprocess.DEVNULL if quiet else None
    code = subprocess.run(
        command + list(arguments), cwd=str(ROOT), env=environment, stderr=output, check=False
    ).returncode
    if code and required:
        fail(f"pip could not install {' '.join(arguments)} (its message is above)")
    return code


def say(line):
    print("wiredesk: " + line, flush=True)


def fail(line):
    sys.exit("wiredesk: " + line)


if __name__ == "__main__":
    main(sys.argv[1:])
