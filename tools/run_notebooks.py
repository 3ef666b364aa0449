"""Run notebooks as tests with `nbdev-test`, and fail when one of them didn't run.

`nbdev-test` succeeds when it finds nothing to run, and passes over notebooks marked `skip_exec`; here both are errors.

    python tools/run_notebooks.py                          all of nbs/ except folders that hold a `.notest` (benchmarks)
    python tools/run_notebooks.py nbs/00_files.ipynb       one of them
    python tools/run_notebooks.py nbs/benchmarks --save    a folder named outright runs whatever it holds; keep the outputs
"""
import argparse, re, subprocess, sys, sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HIDDEN = re.compile(r'(^|/)[._]')
TOGETHER = 16    # notebooks run by the same processes, which forget nothing: with all of them they come to 7 GB each

def eligible(
    path: Path, # a notebook, or a folder of them
) -> list[Path]: # notebooks that have to run
    "List notebooks as `nbdev-test` does: none in hidden folders, none beside a `.notest` unless asked for by name."
    if path.is_file(): return [path]
    nbs = [p for p in sorted(path.rglob('*.ipynb')) if not HIDDEN.search(p.relative_to(path).as_posix())]
    return [p for p in nbs if p.parent == path or not (p.parent/'.notest').exists()]

def run(
    path: Path, # a notebook, or a folder of them
    some: list[Path], # those in it to run
    save: bool = False, # write outputs back, however long a cell takes
    workers: int | None = None, # processes; None leaves the choice to nbdev
) -> tuple[int, set[Path], list[str]]: # exit code, notebooks that ran to their end or to an error, names of those that failed
    "Run `nbdev-test`, pass its output on, and collect which notebooks it went through."
    cmd = [Path(sysconfig.get_path('scripts'))/'nbdev-test', str(path), '--path-re', f"({'|'.join(re.escape(str(p)) for p in some)})$", '--do-print', '--timing', '--ignore-fname', '.notest' if path == ROOT/'nbs' else '.none']
    cmd += ['--save', '--cell-timeout', '0'] * save + ([] if workers is None else ['--n-workers', str(workers)])
    p = subprocess.Popen(cmd, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    ran, failed = set(), []
    for line in p.stdout:
        sys.stdout.write(line); sys.stdout.flush()
        if m := re.match(r'- Completed (.+\.ipynb)$', line): ran.add(Path(m[1]).resolve())
        if m := re.match(r'\t(.+\.ipynb)$', line): failed.append(m[1])
    return p.wait(), ran, failed

def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('path', nargs='?', type=Path, default=ROOT/'nbs', help='a notebook or a folder (default: nbs)')
    ap.add_argument('--save', action='store_true', help='write outputs back into the notebooks; runs one at a time')
    args = ap.parse_args()
    path = args.path.resolve()
    want = eligible(path)
    if not want: sys.exit(f'{path}: there is no notebook to run')
    rc, ran, failed = 0, set(), []
    for i in range(0, len(want), TOGETHER):
        code, done, broken = run(path, want[i:i + TOGETHER], args.save, 0 if args.save else None)
        rc, ran, failed = rc or code, ran | done, failed + broken
    missing = [p.relative_to(ROOT).as_posix() for p in want if p.resolve() not in ran]
    print(f'{len(ran)} notebooks ran', *([f'these failed: {", ".join(failed)}'] if failed else []), sep=', ', flush=True)
    if missing: sys.exit(f'these did not run: {", ".join(missing)}')
    sys.exit(rc)

if __name__ == '__main__': main()
