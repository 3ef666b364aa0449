"""Write README.md from nbs/index.ipynb.

`nbdev-readme` does this with Quarto, a program that no package index has; the README needs none of what Quarto adds.
Prose is taken over, code becomes a block, text that the notebook shows is indented below it, hidden cells stay away."""
import json, posixpath, re, sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NOTE = '<!-- Written by `make export` from nbs/index.ipynb: edit that. -->\n'

def text_of(
    output: dict, # one output of a code cell
) -> str: # its text, '' if it has none
    "Return what an output says in plain text; progress bars and warnings are no part of a page."
    if output['output_type'] not in ('stream', 'execute_result') or output.get('name') == 'stderr': return ''
    t = output.get('text') or output.get('data', {}).get('text/plain') or ''
    return (t if isinstance(t, str) else ''.join(t)).rstrip()

def relink(
    markdown: str, # with links relative to nbs/
) -> str: # with links relative to the root
    "Point relative links and pictures to where they lie seen from the root."
    def fix(m):
        url = m[2]
        return m[0] if re.match(r'[a-z]+:|#|/', url) else f'{m[1]}{posixpath.normpath(posixpath.join("nbs", url))}{m[3]}'
    return re.sub(r'(\]\()([^)\s]+)(\))', fix, markdown)

def block(
    cell: dict, # a notebook's cell
) -> str: # markdown, '' for a hidden cell
    "Spell one cell as markdown."
    src = ''.join(cell['source'])
    if cell['cell_type'] == 'markdown': return relink(src)
    if cell['cell_type'] != 'code' or re.search(r'^#\|\s*(hide|export)', src, re.M): return ''
    code = re.sub(r'^#\|.*\n?', '', src, flags=re.M).strip()
    shown = '\n'.join(filter(None, map(text_of, cell.get('outputs', []))))
    shown = '\n'.join('    ' + l for l in shown.splitlines())
    return f'```python\n{code}\n```' + (f'\n\n{shown}' if shown else '')

def readme(
    notebook: Path = ROOT/'nbs/index.ipynb', # the page to turn into the README
) -> str:
    "Return README.md as the notebook makes it."
    cells = json.loads(notebook.read_text(encoding='utf-8'))['cells']
    return NOTE + '\n' + '\n\n'.join(filter(None, (block(c).strip('\n') for c in cells))) + '\n'

if __name__ == '__main__':
    (ROOT/'README.md').write_text(readme(), encoding='utf-8')
    print(f'wrote README.md ({len(readme().splitlines())} lines)')
