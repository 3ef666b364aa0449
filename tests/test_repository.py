"The repository is in step with itself: modules, README and pages are what the notebooks make, and nothing names a machine."
import json, re, shutil, subprocess, sys
from configparser import ConfigParser

import pytest

from repository import BIN, ROOT, copy_tracked, tracked

def contents(root):
    "Bytes by path, without what tools leave for themselves."
    skip = '_proc', '__pycache__', '.ipynb_checkpoints'
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in sorted(root.rglob('*')) if p.is_file() and not {*p.parts} & {*skip}}

def changed(root, *cmd):
    "Run a command in a copy of the repository and return what it changed."
    before = contents(root)
    subprocess.run(cmd, cwd=root, check=True, capture_output=True, text=True)
    after = contents(root)
    return sorted(n for n in {*before, *after} if before.get(n) != after.get(n))

@pytest.fixture
def clone(tmp_path): return copy_tracked(tmp_path/'clone')

def test_export_changes_nothing(clone):
    assert changed(clone, BIN/'nbdev-export') == []
    nb = sorted((clone/'nbs').glob('00_*.ipynb'))[0]                      # and this check can fail:
    cells = json.loads(nb.read_text())
    next(c for c in cells['cells'] if '#| export' in ''.join(c['source']))['source'].append('\nunheard_of = 1')
    nb.write_text(json.dumps(cells))
    assert any(n.startswith('llgbm/') for n in changed(clone, BIN/'nbdev-export'))

def test_notebooks_are_clean(clone):
    assert changed(clone, BIN/'nbdev-clean') == []

def test_readme_is_the_index(clone):
    assert changed(clone, sys.executable, 'tools/write_readme.py') == []

def test_site_is_whole(clone):
    r = subprocess.run([sys.executable, 'tools/build_docs.py'], cwd=clone, capture_output=True, text=True)
    assert r.returncode == 0, r.stdout + r.stderr
    assert 'pages processed and checked' in r.stdout
    (clone/'nbs/index.ipynb').unlink()                                    # and this check can fail:
    r = subprocess.run([sys.executable, 'tools/build_docs.py'], cwd=clone, capture_output=True, text=True)
    assert r.returncode == 1 and 'index.ipynb, which is not there' in r.stderr

def test_version_is_one():
    ini = ConfigParser(delimiters=['='])
    ini.read(ROOT/'settings.ini', encoding='utf-8')
    assert re.search(r'__version__ = "(.*)"', (ROOT/'llgbm/__init__.py').read_text())[1] == ini['DEFAULT']['version']

# Spelled in pieces, so that this file is not the one that is found.
MACHINE = re.compile('|'.join([r'(?<![\w.])/(?:home|root|work|Users)' + r'/\w', r'(?<!\w)/tm' + r'p/\w', r'/op' + r't/\w', 'pypi' + r'\.org', 'pythonhosted' + r'\.org', 'npm' + 'js', 'debian' + r'\.org',
                               'index' + '-url', 'find' + '-links']))

def test_no_machine_is_named():
    found = []
    for n in tracked():
        try: text = (ROOT/n).read_text(encoding='utf-8')
        except UnicodeDecodeError: continue
        found += [f'{n}: {m[0]} in {text[max(0, m.start() - 30):m.end() + 30]!r}' for m in MACHINE.finditer(text)]
    assert found == []

def test_notebooks_keep_no_errors():
    for p in sorted((ROOT/'nbs').rglob('*.ipynb')):
        outs = [o for c in json.loads(p.read_text())['cells'] for o in c.get('outputs', [])]
        assert [o['ename'] for o in outs if o['output_type'] == 'error'] == [], p

def test_runner_fails_when_a_notebook_does_not_run(tmp_path):
    "`nbdev-test` alone succeeds on an empty folder, and passes over `skip_exec`."
    (tmp_path/'tools').mkdir(); (tmp_path/'nbs').mkdir(); (tmp_path/'llgbm').mkdir()
    for n in 'tools/run_notebooks.py', 'pyproject.toml', 'llgbm/__init__.py': shutil.copy(ROOT/n, tmp_path/n)
    def runner():
        r = subprocess.run([sys.executable, 'tools/run_notebooks.py'], cwd=tmp_path, capture_output=True, text=True)
        return r.returncode, r.stdout + r.stderr
    def notebook(name, *cells):
        cells = [dict(cell_type=k, id=f'c{i}', metadata={}, source=[s], **(dict(outputs=[], execution_count=None) if k == 'code' else {})) for i, (k, s) in enumerate(cells)]
        (tmp_path/'nbs'/name).write_text(json.dumps(dict(cells=cells, metadata=dict(kernelspec=dict(display_name='python3', language='python', name='python3')), nbformat=4, nbformat_minor=5)))
    rc, out = runner()
    assert rc and 'there is no notebook to run' in out
    notebook('00_slow.ipynb', ('code', f'#| slow\nopen({str(tmp_path/"ran")!r}, "w").close()'))
    rc, out = runner()
    assert rc == 0 and '1 notebooks ran' in out and (tmp_path/'ran').exists()
    notebook('02_wrong.ipynb', ('code', '1 / 0'))
    rc, out = runner()
    assert rc and '2 notebooks ran, these failed: 02_wrong.ipynb' in out
    (tmp_path/'nbs'/'02_wrong.ipynb').unlink()
    notebook('01_skipped.ipynb', ('raw', '---\nskip_exec: true\n---'), ('code', '1'))
    rc, out = runner()
    assert rc and 'did not run: nbs/01_skipped.ipynb' in out
    notebook('01_skipped.ipynb', ('code', 'assert 1 == 2'))
    rc, out = runner()
    assert rc and '01_skipped.ipynb' in out
