"What a clone of this repository would hold."
import shutil, subprocess, sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sysconfig.get_path('scripts'))

def tracked():
    "Paths under version control, relative to the root, as far as they exist."
    out = subprocess.run(['git', '-c', 'safe.directory=*', 'ls-files', '-z'], cwd=ROOT, capture_output=True, check=True).stdout
    return [Path(n) for n in out.decode().split('\0') if n and ((ROOT/n).is_symlink() or (ROOT/n).is_file())]

def copy_tracked(to):
    "Copy what a clone would hold."
    for n in tracked():
        (to/n).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT/n, to/n, follow_symlinks=False)
    return to
