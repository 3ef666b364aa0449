"""Process nbs/ into the pages of the site, check them, and render them where `quarto` is on the PATH.

The first step is `nbdev-proc-nbs` without its attempt to install Quarto as root; the last is `nbdev-docs`."""
import json, os, re, shutil, subprocess, sys, sysconfig
from pathlib import Path

import yaml
from nbdev.doclinks import _build_modidx
from nbdev.serve import proc_nbs

ROOT = Path(__file__).resolve().parents[1]

def listed(
    contents: list | str, # `contents` of a Quarto sidebar
) -> list[str]: # pages
    "List the pages that a sidebar names."
    if isinstance(contents, str): return [contents]
    return [p for c in contents for p in (listed(c['contents']) if isinstance(c, dict) else [c])]

def links(
    markdown: str,
) -> list[str]: # targets in this site, without anchors
    "List the relative links of a text, leaving out code."
    prose = re.sub(r'```.*?```|`[^`\n]*`', '', markdown, flags=re.S)
    found = [m[1].split('#')[0] for m in re.finditer(r'\]\(([^)\s]+)\)', prose)]
    return [u for u in found if u and not re.match(r'[a-z]+:|/', u)]

def page_problems(
    path: Path, # a processed notebook
) -> list[str]:
    "Say what keeps a page from being rendered or read."
    try: nb = json.loads(path.read_text(encoding='utf-8'))
    except ValueError as e: return [f'not JSON: {e}']
    if nb.get('nbformat') != 4 or not nb.get('cells'): return ['not a notebook of format 4 with cells']
    bad = [f'cell {i} is not a cell' for i, c in enumerate(nb['cells']) if c.get('cell_type') not in ('code', 'markdown', 'raw') or 'source' not in c]
    if bad: return bad
    texts = [''.join(c['source']) for c in nb['cells'] if c['cell_type'] != 'code']
    ids = [c.get('id') for c in nb['cells']]
    if len({*ids}) < len(ids): bad.append('two cells share an id')
    if not re.search(r'^(# |title: )', '\n'.join(texts[:2]), re.M): bad.append('no title')
    bad += [f'it shows an error: {o["ename"]}' for c in nb['cells'] for o in c.get('outputs', []) if o['output_type'] == 'error']
    return bad + [f'link to {u}, which is not there' for t in texts for u in links(t) if not (path.parent/u).exists()]

def site_problems(
    site: Path, # processed pages with their _quarto.yml
) -> list[str]:
    "Check every page, and that the sidebar names each of them exactly once."
    cfg = yaml.safe_load((site/'_quarto.yml').read_text(encoding='utf-8'))
    pages = {p.relative_to(site).as_posix(): p for p in sorted(site.rglob('*.ipynb'))}
    side = listed(cfg['website']['sidebar']['contents'])
    bad = [f'{n}: {what}' for n, p in pages.items() for what in page_problems(p)]
    bad += [f'_quarto.yml: the sidebar names {n}, which is not there' for n in side if n not in pages]
    bad += [f'_quarto.yml: the sidebar names {n} {side.count(n)} times' for n in pages if side.count(n) != 1]
    return bad

def main():
    os.environ['PYTHONWARNINGS'] = 'ignore::UserWarning:nbdev.processors'     # of imports beside other code: what matters is that the cell runs
    _build_modidx()
    try: site = proc_nbs(ROOT/'nbs', n_workers=1)
    except Exception as e: sys.exit(f'{e}\n(pages are made by running export cells and every cell with an import in it: such a cell may use nothing else)')
    if bad := site_problems(site): sys.exit('\n'.join(bad))
    print(f'{len(list(site.rglob("*.ipynb")))} pages processed and checked in {site.name}/')
    if not shutil.which('quarto'): return print('quarto is not on the PATH: the pages are not rendered (see CONTRIBUTING.md)')
    subprocess.run([Path(sysconfig.get_path('scripts'))/'nbdev-docs'], cwd=ROOT, check=True)
    print('rendered: _docs/index.html')

if __name__ == '__main__': main()
