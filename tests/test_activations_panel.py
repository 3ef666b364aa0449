"The activations panel in a real browser, as an app of Voila and in JupyterLab: what is seen are the numbers of the plain objects, what is written is in files."
import json, os, subprocess, sys

import pytest

from browser import WAIT, desk_of, needs_browser, random_pool, too_wide
from llgbm.activation_inspection import Inspector
from llgbm.activations import Activations
from llgbm.generation import Sampling
from llgbm.interpretations import Interpretations, Note
from llgbm.lab import open_base
from repository import ROOT

pytestmark = needs_browser
APP, EVIL = ROOT/'nbs/apps/activations.ipynb', '<img id=evil src=x onerror="document.title=1">'
ADAPTER, DIRECTION, TEXT = 'math/shout/0', 'layer_1_v_proj_d1', f'Tell me 3 plus 4. {EVIL}'
KEY = f'{DIRECTION}_positive'

def is_ready(page): page.wait_for_selector('.llgbm-act .row')

@pytest.fixture(scope='module', params=['voila', 'lab'])
def desk(request, tmp_path_factory):
    tmp = tmp_path_factory.mktemp(request.param)
    env = dict(LLGBM_ADAPTERS=str(random_pool(tmp/'adapters')), LLGBM_OUTPUT=str(tmp/'work'))
    (tmp/'texts.jsonl').write_text(''.join(json.dumps(dict(prompt=f'Tell me {a} plus {b}.', answer=f' {a + b}{EVIL * (a == b)}')) + '\n' for a in range(6) for b in range(6)))
    with desk_of(APP, tmp, request.param, tmp/'work', env, is_ready) as d:
        d.texts, d.inspector = tmp/'texts.jsonl', Inspector(open_base('lab'), tmp/'adapters', tmp/'work')
        yield d

def kept(desk): return desk.inspector.folder_of(ADAPTER)
def notes_in(desk): return json.loads((kept(desk)/'interpretations.json').read_text())['interpretations']
def heading(page): return page.locator('.llgbm-act h2').evaluate("h => h.firstChild.textContent")
def turned_to(page, text): page.wait_for_function("t => document.querySelector('.llgbm-act h2')?.firstChild.textContent == t", arg=text)
def idle(page): page.wait_for_function("!document.querySelector('.llgbm-spin')")
def row(page, text): return page.locator('.llgbm-act .row', has=page.locator(f'b:text-is("{text}")'))

def button(page, text): return page.locator('.llgbm-panel button:visible').get_by_text(text, exact=True).first

def choose(page, text):
    "Narrow the list to one layer's module, and click a direction there."
    layer, proj, d = text.split()
    page.locator('.llgbm-filters select').nth(0).select_option(label=f'layer {layer}')
    page.locator('.llgbm-filters select').nth(1).select_option(label=proj)
    page.wait_for_function("document.querySelectorAll('.llgbm-act .row').length == 2")
    row(page, text).click()
    turned_to(page, f'Layer {layer} · {proj} · {d}')
    for i in 0, 1: page.locator('.llgbm-filters select').nth(i).select_option(index=0)
    page.wait_for_function("document.querySelector('.llgbm-act .count').textContent == '16 directions'")

def seen_value(page, i):
    "What hovering over a token of the typed text says."
    page.locator('.llgbm-act .typed span').nth(i).hover()
    page.wait_for_selector('.part-live .tip:not([hidden])')
    return float(page.locator('.part-live .tip').text_content().split('  ')[-1].replace('−', '-'))

def test_adapter_and_direction_are_picked(desk):
    page = desk.page
    page.locator('.llgbm-pick input').fill(ADAPTER)
    page.keyboard.press('Enter')
    page.wait_for_function("a => document.querySelector('.llgbm-pick input').value == a && !document.querySelector('.llgbm-spin')", arg=ADAPTER)
    page.wait_for_function("document.querySelector('.llgbm-act .count').textContent == '16 directions'")
    choose(page, '1 v_proj d1')
    page.locator('.llgbm-act .list').focus()
    page.keyboard.press('Home')
    page.wait_for_function("document.querySelector('.llgbm-act .row').getAttribute('aria-selected') == 'true'")
    choose(page, '1 v_proj d1')

def test_typed_text_shows_values(desk):
    page, inspection = desk.page, desk.inspector.open(ADAPTER).inspection
    page.locator('.llgbm-textbox textarea').fill(TEXT)
    page.wait_for_function("t => document.querySelector('.llgbm-act .typed')?.textContent.replaceAll(' ', '').endsWith(t)", arg=EVIL.replace(' ', ''))
    reading = inspection.read(TEXT)
    values = reading.values[inspection.place(DIRECTION).number].tolist()
    assert page.locator('.llgbm-act .typed span').count() == len(values) and page.query_selector('#evil') is None
    for i in 0, 3, len(values) - 1: assert seen_value(page, i) == pytest.approx(values[i], rel=.006, abs=1e-5)
    hot = max((i for i, s in enumerate(reading.special) if not s), key=lambda i: abs(values[i]))
    assert page.locator('.llgbm-act .typed span').nth(hot).get_attribute('class').split()[0] == ('p10' if values[hot] > 0 else 'n10')

def test_list_follows_the_text(desk):
    page, inspection = desk.page, desk.inspector.open(ADAPTER).inspection
    page.locator('.llgbm-filters select').nth(2).select_option(label='this text')
    first = inspection.ids[inspection.find('text', reading=inspection.read(TEXT))[0]].removeprefix('layer_').replace('_', ' ').replace(' proj', '_proj')
    page.wait_for_function("t => document.querySelector('.llgbm-act .row b')?.textContent == t", arg=first)

def test_token_tells_what_it_fires(desk):
    page, inspection = desk.page, desk.inspector.open(ADAPTER).inspection
    page.locator('.llgbm-act .typed span').nth(3).click()
    page.wait_for_selector('.llgbm-act .typed mark')
    order = [inspection.ids[n].removeprefix('layer_').replace('_', ' ').replace(' proj', '_proj') for n in inspection.find('text', reading=inspection.read(TEXT), at=3)]
    page.wait_for_function("t => [...document.querySelectorAll('.llgbm-act .row b')].slice(0, 4).map(b => b.textContent).join() == t", arg=','.join(order[:4]))
    page.locator('.llgbm-act .typed mark').click()
    page.wait_for_function("!document.querySelector('.llgbm-act .typed mark')")

def test_star_and_note(desk):
    page, field = desk.page, desk.page.locator(f'[data-note="{KEY}"]')
    cells = page.locator('.jp-Notebook .jp-Cell').count()
    field.click()
    field.press_sequentially('dd a x ' + EVIL)                 # keys that JupyterLab would take for commands
    page.locator(f'[data-star="{KEY}"]').click()
    page.wait_for_function("document.querySelector('.llgbm-act .row[aria-selected=true] .starred')")
    page.wait_for_function("t => document.querySelector('.llgbm-act .row[aria-selected=true] .noted')?.textContent == t", arg='dd a x ' + EVIL)
    page.wait_for_timeout(600)
    n = notes_in(desk)[KEY]
    assert (n['text'], n['starred'], page.locator('.jp-Notebook .jp-Cell').count()) == ('dd a x ' + EVIL, True, cells)
    assert page.query_selector('#evil') is None

def test_newer_note_of_somebody_else_is_not_lost(desk):
    page, field = desk.page, desk.page.locator(f'[data-note="{DIRECTION}_negative"]')
    Interpretations(kept(desk)/'interpretations.json').put(f'{DIRECTION}_negative', Note('from the page', True))
    field.fill('from the panel')
    page.wait_for_function("k => { const t = document.querySelector(`[data-note=\"${k}\"]`).value; return t.includes('from the page') && t.includes('from the panel') }", arg=f'{DIRECTION}_negative')
    assert set(notes_in(desk)[f'{DIRECTION}_negative']['text'].split('\n\n')) == {'from the page', 'from the panel'}

def test_page_is_loaded_again(desk):
    desk.again()
    page = desk.page
    turned_to(page, 'Layer 1 · v_proj · d1')
    page.wait_for_function("([k, t]) => document.querySelector(`[data-note=\"${k}\"]`)?.value == t", arg=[KEY, 'dd a x ' + EVIL])
    assert page.locator(f'[data-star="{KEY}"]').get_attribute('aria-pressed') == 'true'
    assert (page.locator('.llgbm-textbox textarea').input_value(), page.locator('.llgbm-pick input').input_value()) == (TEXT, ADAPTER)
    page.wait_for_selector('.llgbm-act .typed span')
    page.locator('.llgbm-filters button').click()
    page.wait_for_function("document.querySelector('.llgbm-act .count').textContent == '1 of 16 directions'")
    page.locator('.llgbm-filters button').click()

def test_direction_is_steered(desk):
    page, number = desk.page, desk.page.locator('.llgbm-slidernumber input[type=number]')
    page.locator('.llgbm-slidernumber .noUi-handle').focus()
    page.keyboard.press('End')
    page.wait_for_function("document.querySelector('.llgbm-slidernumber input[type=number]').value == '5'")
    number.fill('-40')                                         # beyond the slider
    page.keyboard.press('Enter')
    page.locator('.llgbm-short input').first.fill('12')
    page.keyboard.press('Enter')
    button(page, 'Go on with the text').click()
    page.wait_for_function("document.querySelectorAll('.llgbm-sample').length == 3 && !document.querySelector('.llgbm-spin')")
    want = desk.inspector.open(ADAPTER).inspection.answer(DIRECTION, -40., TEXT, sampling=Sampling(do_sample=False, max_new_tokens=12))
    said = {g.variant: g.text for g in want}
    texts = page.locator('.llgbm-sample .llgbm-text').evaluate_all('es => es.map(e => e.textContent)')
    assert texts == [said[v] if said[v].strip() else '(nothing)' for v in ('steered', 'adapter', 'base')]
    assert page.locator('.llgbm-sample b').all_inner_texts() == [f'{DIRECTION} × -40', ADAPTER, 'base']
    number.fill('2')
    page.keyboard.press('Enter')
    page.wait_for_selector('.llgbm-cards.llgbm-stale')

def test_examples_are_collected(desk):
    page = desk.page
    page.locator('.llgbm-grow input').fill(str(desk.texts))
    page.keyboard.press('Enter')
    button(page, 'Collect').click()
    page.wait_for_selector('.llgbm-act .examples mark')
    idle(page)
    found = Activations.load(kept(desk)/'activations_data.json')
    d = found[DIRECTION]
    assert found.data['dataset']['texts'] == 36 and 'share' in page.locator('.llgbm-act .facts').inner_text()
    assert page.locator('.llgbm-act .side.positive li').count() == len(d['positive']) and page.locator('.llgbm-act .side.negative li').count() == len(d['negative'])
    best = max(found.directions.values(), key=lambda d: d['importance']['share'])['id']
    page.wait_for_function("t => document.querySelector('.llgbm-act .row b')?.textContent == t", arg=best.removeprefix('layer_').replace('_', ' ').replace(' proj', '_proj'))
    page.locator('.llgbm-act .cosines a').first.click()         # to its neighbour
    page.wait_for_function("document.querySelector('.llgbm-act h2').firstChild.textContent != 'Layer 1 · v_proj · d1'")
    choose(page, '1 v_proj d1')
    assert page.query_selector('#evil') is None and page.title() != '1'

def test_look_follows_theme_and_width(desk):
    if desk.kind == 'lab': pytest.skip('JupyterLab has a theme of its own')
    page, colour = desk.page, "() => getComputedStyle(document.querySelector('.llgbm-act .side')).backgroundColor"
    page.emulate_media(color_scheme='dark')
    assert page.evaluate(colour) == 'rgb(24, 29, 36)'
    page.set_viewport_size(dict(width=390, height=900))
    page.wait_for_function("document.querySelector('.llgbm-panel').getBoundingClientRect().width <= 390")
    page.wait_for_timeout(300)
    assert too_wide(page, 390, '.tip, .line') == []

def test_nothing_broke_and_nothing_left_the_machine(desk):
    assert (desk.page.broken, desk.page.refused, desk.page.locator('.llgbm-error').count()) == ([], [], 0)
    assert 'Traceback' not in desk.log.read_text()

def test_damaged_notes_are_kept_aside(desk):
    page, file = desk.page, kept(desk)/'interpretations.json'
    file.write_text('{"interpretations": [')
    page.locator(f'[data-note="{KEY}"]').fill('written after that')
    page.wait_for_selector('.llgbm-error:has-text("is kept as")')
    page.wait_for_timeout(600)
    assert notes_in(desk)[KEY]['text'] == 'written after that' and [p for p in file.parent.iterdir() if '.damaged-' in p.name]

def test_app_says_why_it_can_not_open(tmp_path):
    cells = [''.join(c['source']) for c in json.loads(APP.read_text())['cells'] if c['cell_type'] == 'code']
    code = '\n'.join(cells) + '\nprint(panel.errors.seen)'
    done = subprocess.run([sys.executable, '-c', code], cwd=ROOT, env=os.environ | dict(LLGBM_OUTPUT=str(tmp_path/'work'), LLGBM_ADAPTERS=str(tmp_path/'none')), capture_output=True, text=True, timeout=WAIT)
    assert done.returncode == 0 and 'no folder' in done.stdout, done.stdout + done.stderr
