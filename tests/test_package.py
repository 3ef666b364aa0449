"The wheel, installed where the repository isn't, is the whole library."
import ast, json, os, subprocess, sys, sysconfig, time, venv
from configparser import ConfigParser
from email import message_from_string
from importlib.metadata import packages_distributions
from pathlib import Path
from urllib.request import urlopen
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement

from repository import ROOT, copy_tracked, tracked

class Installed:
    "An environment that has llgbm from its wheel, and everything else from this one."
    def __init__(self, root):
        self.root, self.cwd = root, root/'empty'
        self.cwd.mkdir()
        pip = [sys.executable, '-m', 'pip', '--disable-pip-version-check', '--quiet']
        self.run(*pip, 'wheel', '--no-deps', '--wheel-dir', root/'dist', copy_tracked(root/'clone'))
        [self.wheel] = (root/'dist').glob('*.whl')
        venv.create(root/'venv', with_pip=False)
        self.bin = root/'venv'/('Scripts' if os.name == 'nt' else 'bin')
        self.run(*pip, '--python', self.bin/'python', 'install', '--no-deps', '--no-index', self.wheel)
        [site] = self.python('import sysconfig; print(sysconfig.get_path("purelib"))').splitlines()
        # A path in a .pth file brings the packages of this environment, but not its .pth files, so not its editable llgbm.
        (Path(site)/'others.pth').write_text(sysconfig.get_path('purelib') + '\n')

    def run(self, *cmd):
        "Run a command in an empty folder and return what it prints."
        env = {k: v for k, v in os.environ.items() if k not in ('PYTHONPATH', 'PYTHONHOME')}
        r = subprocess.run([*map(str, cmd)], cwd=self.cwd, env=env, capture_output=True, text=True)
        assert r.returncode == 0, f'{r.args}\n{r.stdout}\n{r.stderr}'
        return r.stdout

    def python(self, code): return self.run(self.bin/'python', '-I', '-c', code)

@pytest.fixture(scope='module')
def installed(tmp_path_factory): return Installed(tmp_path_factory.mktemp('package'))

@pytest.fixture(scope='module')
def settings():
    ini = ConfigParser(delimiters=['='])
    ini.read(ROOT/'settings.ini', encoding='utf-8')
    return ini['DEFAULT']

def test_every_module_imports(installed):
    found = json.loads(installed.python("""if True:
        import importlib, json, pkgutil, llgbm
        names = [m.name for m in pkgutil.walk_packages(llgbm.__path__, 'llgbm.')]
        print(json.dumps({n: getattr(importlib.import_module(n), '__file__', None) for n in ['llgbm', *names]}))"""))
    want = {'llgbm'} | {f'llgbm.{p.stem}' for p in tracked() if p.parent == Path('llgbm') and p.suffix == '.py' and p.stem != '__init__'}
    assert {n for n in found if not n.startswith(('llgbm.lab_data', 'llgbm.apps'))} == want
    assert all(Path(f).is_relative_to(installed.root/'venv') for f in found.values() if f), found
    assert len(want) > 5

def test_metadata_is_that_of_settings(installed, settings):
    with ZipFile(installed.wheel) as z:
        meta = message_from_string(z.read(next(n for n in z.namelist() if n.endswith('.dist-info/METADATA'))).decode())
    reqs = [Requirement(r) for r in meta.get_all('Requires-Dist')]
    plain = lambda rs: sorted(f'{Requirement(str(r)).name}{Requirement(str(r)).specifier}' for r in rs)
    assert meta['Name'] == settings['lib_name'] and meta['Version'] == settings['version']
    assert meta['Requires-Python'] == f">={settings['min_python']}"
    assert (meta['License-Expression'] or meta['License']) == 'Apache-2.0' and meta['Summary'] == settings['description']
    assert plain(r for r in reqs if r.marker is None) == plain(settings['requirements'].split())
    extras = {k.removesuffix('_requirements'): v.split() for k, v in settings.items() if k.endswith('_requirements')}
    assert sorted(meta.get_all('Provides-Extra')) == sorted(extras) and {'vllm', 'encoders', 'dev'} <= {*extras}
    for x, want in extras.items(): assert plain(r for r in reqs if r.marker and r.marker.evaluate(dict(extra=x))) == plain(want), x
    assert meta.get_payload().strip() == (ROOT/'README.md').read_text(encoding='utf-8').strip()

def imported(source):
    "Packages that a module imports: those it can't be loaded without, and those it may ask for later."
    tree = ast.parse(source)
    names = lambda nodes: {a.name.split('.')[0] for n in nodes if isinstance(n, ast.Import) for a in n.names} | {n.module.split('.')[0] for n in nodes if isinstance(n, ast.ImportFrom) and not n.level}
    return names(tree.body), names(ast.walk(tree))

def test_requirements_are_complete(settings):
    "What modules import at their top is a requirement; what functions import, a requirement or an extra."
    name = lambda r: Requirement(r).name.lower().replace('_', '-')
    hard = {name(r) for r in settings['requirements'].split()}
    soft = hard | {name(r) for k, v in settings.items() if k.endswith('_requirements') for r in v.split()}
    where = packages_distributions()
    missing = []
    for p in sorted((ROOT/'llgbm').glob('*.py')):
        for found, have in zip(imported(p.read_text(encoding='utf-8')), (hard, soft)):
            for n in sorted(found - {*sys.stdlib_module_names} - {'llgbm'}):
                if not {d.lower().replace('_', '-') for d in where.get(n, [n])} & have: missing.append(f'{p.name}: {n}')
    assert missing == []

@pytest.mark.parametrize('source, place', [('data/lab', 'llgbm/lab_data'), ('nbs/apps', 'llgbm/apps')])
def test_data_travels_along(installed, source, place):
    want = {p.relative_to(source).as_posix(): (ROOT/p).read_bytes() for p in tracked() if p.is_relative_to(source)}
    assert want, f'{source} holds nothing'
    with ZipFile(installed.wheel) as z: got = {n.removeprefix(f'{place}/'): z.read(n) for n in z.namelist() if n.startswith(f'{place}/')}
    assert {n: got.get(n) == data for n, data in want.items()} == {n: True for n in want}

def test_command_line(installed):
    assert 'demo' in installed.run(installed.bin/'llgbm', '--help')
    installed.run(installed.bin/'llgbm', 'verify')                # loads the lab's base, computes a delta, writes an adapter and reads it

RANDOM_POOL = """if True:
    from llgbm.lab import open_base
    from llgbm.lora import LoraBank
    bank = LoraBank.init(open_base('lab').model, 2, 2, ['q_proj'], names=['math/polite', 'code/shout'])
    for B in bank.B.values(): B.normal_(std=.05)
    for i, n in enumerate(bank.names): bank[i].save_pretrained(f'pool/{n}')"""

def test_panel_is_served(installed):
    "The notebook comes from the package, runs, asks nobody but its server, and keeps its work where it is told to."
    installed.python(RANDOM_POOL)
    env = {k: v for k, v in os.environ.items() if k not in ('PYTHONPATH', 'PYTHONHOME')} | dict(JUPYTER_PATH=f'{sys.prefix}/share/jupyter')    # where Voila's templates are
    cmd, log = [installed.bin/'llgbm', 'panel', 'amplification', '--adapters', 'pool', '--folder', 'work', '--no_browser'], installed.root/'panel.log'
    with open(log, 'w') as f: p = subprocess.Popen([*map(str, cmd)], cwd=installed.cwd, env=env, stdout=f, stderr=f)
    try:
        with urlopen(wait_for_url(p, log), timeout=300) as r: page, policy = r.read().decode(), r.headers['Content-Security-Policy']
    finally: p.terminate(); p.wait(60)
    assert 'llgbm' in page and policy.startswith("default-src 'self'") and 'Traceback' not in log.read_text(), log.read_text()
    assert (installed.cwd/'work'/'state.json').is_file(), sorted((installed.cwd/'work').rglob('*'))

def wait_for_url(p, log, seconds=120):
    "The address, once Voila says that it is running."
    end = time.time() + seconds
    while 'running at' not in log.read_text():
        assert p.poll() is None and time.time() < end, log.read_text()
        time.sleep(.2)
    return next(l.split()[0] for l in log.read_text().splitlines() if l.startswith('http://127.0.0.1'))
