"The apps in a real browser, without network: what is clicked reaches the plain objects, and what they say is seen."
import json, os, subprocess, sys

import pytest

from browser import WAIT, browsing, needs_browser, random_pool, serving, too_wide
from llgbm.lora import LoraAdapter
from repository import ROOT

pytestmark = needs_browser
STAR = "() => document.querySelector('.llgbm-panel .js-plotly-plot').data.find(t => t.name == 'predicted')"

@pytest.fixture(scope='module')
def served(tmp_path_factory):
    "The app, served by Voila with a pool of its own; where it is and where it writes."
    out = tmp_path_factory.mktemp('compose')
    env = dict(LLGBM_ADAPTERS=str(random_pool(out/'adapters')), LLGBM_OUTPUT=str(out))
    with serving('voila', 'nbs/apps/compose.ipynb', '--show_tracebacks=True', env=env, out=out, ready='voila/static/voila.js') as url: yield url, out

@pytest.fixture(scope='module')
def page(served):
    "The app in a browser that reaches nothing but the server."
    with browsing() as pg:
        pg.goto(served[0], wait_until='commit')
        pg.wait_for_selector('.llgbm-panel .llgbm-weight')
        pg.wait_for_selector('.llgbm-panel .js-plotly-plot .main-svg')
        yield pg

def place(page):
    star = page.evaluate(STAR)
    return star['x'][0], star['y'][0], star['hovertext'][0]

def moved(page, before):
    "Wait until the star is elsewhere."
    page.wait_for_function(f"b => {{ const t = ({STAR})(); return t.x.length && t.x[0] !== b[0] && t.hovertext[0] !== b[2] }}", arg=list(before))
    return place(page)

def test_slider_moves_the_prediction(page):
    before, number, text = place(page), page.locator('.llgbm-weight input[type=number]').first, page.locator('.llgbm-expression input')
    assert (number.input_value(), text.input_value()) == ('1', 'code/json/0 + math/polite/0')
    page.locator('.llgbm-weight .noUi-handle').first.focus()
    page.keyboard.press('ArrowRight')
    after = moved(page, before)
    assert '1.1*code/json/0 + math/polite/0' in after[2]
    page.wait_for_function("document.querySelector('.llgbm-expression input').value == '1.1*code/json/0 + math/polite/0'")
    assert number.input_value() == '1.1'
    number.fill('5'); number.press('Enter')                   # beyond the slider's end
    assert '5*code/json/0' in moved(page, after)[2]
    page.get_by_role('button', name='Undo').click()
    page.wait_for_function("document.querySelector('.llgbm-expression input').value.startsWith('code/json/0')")

def test_list_and_map_choose(page):
    page.fill('.llgbm-search input', 'math shout')
    page.locator('.llgbm-chip:visible').nth(0).click()
    page.wait_for_function("document.querySelectorAll('.llgbm-weight').length == 3")
    at = page.evaluate("""() => { const g = document.querySelector('.js-plotly-plot'), t = g.data.find(t => t.name == 'json' || t.name == 'math'), l = g._fullLayout, r = g.getBoundingClientRect(),
        p = [0, 1].map(i => [r.x + l._size.l + l.xaxis.d2p(t.x[i]), r.y + l._size.t + l.yaxis.d2p(t.y[i])]); return p }""")
    page.mouse.move(*at[1]); page.mouse.click(*at[1])
    page.wait_for_function("document.querySelectorAll('.llgbm-weight').length != 3")

def test_answers_are_seen_and_escaped(page):
    page.fill('.llgbm-expression input', 'math/polite - 0.5*code/shout'); page.keyboard.press('Enter')
    page.wait_for_function("document.querySelectorAll('.llgbm-weight').length == 2")
    page.fill('.llgbm-prompt textarea', 'Tell me 3 plus 4. <b id=evil>x</b>')
    page.get_by_role('button', name='Ask').click()
    page.wait_for_selector('.llgbm-sample')
    heads = page.locator('.llgbm-sample b').all_inner_texts()
    assert heads == ['math/polite/0 - 0.5*code/shout/0', 'math/polite/0', 'code/shout/0', 'base']
    assert any(t.strip() for t in page.locator('.llgbm-text').all_inner_texts())
    assert '<b id=evil>' in page.locator('.llgbm-asked').inner_text() and page.query_selector('#evil') is None

def test_measurement_is_seen(page):
    page.get_by_role('button', name='Measure').click()
    page.wait_for_selector('text=relative error')
    page.wait_for_function("document.querySelector('.js-plotly-plot').data.find(t => t.name == 'measured').x.length == 1")

def test_errors_stay_until_dismissed(page):
    page.fill('.llgbm-expression input', 'math/polte - code/shout'); page.keyboard.press('Enter')
    box = page.wait_for_selector('.llgbm-error')
    assert 'did you mean' in box.inner_text() and '^^^' in box.inner_text()
    assert page.locator('.llgbm-weight').count() == 2                       # what was there stays
    page.get_by_role('button', name='dismiss').click()
    page.wait_for_function("!document.querySelector('.llgbm-error')")
    page.fill('.llgbm-expression input', 'math/polite - 0.5*code/shout'); page.keyboard.press('Enter')

def test_adapter_is_exported(page, served):
    page.get_by_role('button', name='Export adapter').click()
    page.wait_for_selector('text=which PEFT loads')
    a = LoraAdapter.from_pretrained(served[1]/'adapter')
    assert {p.rank for p in a.pairs.values()} == {4}

def test_look_follows_theme_and_width(page):
    colour = "() => getComputedStyle(document.querySelector('.llgbm-card')).backgroundColor"
    light = page.evaluate(colour)
    page.emulate_media(color_scheme='dark')
    assert light == 'rgb(255, 255, 255)' and page.evaluate(colour) == 'rgb(24, 29, 36)'
    columns = "() => getComputedStyle(document.querySelector('.llgbm-compose')).gridTemplateColumns.split(' ').length"
    assert page.evaluate(columns) == 2
    page.set_viewport_size(dict(width=390, height=900))
    page.wait_for_function(f"({columns})() == 1")
    page.wait_for_function("document.querySelector('.js-plotly-plot .main-svg').getBoundingClientRect().width < 390")
    root = page.locator('.llgbm-panel').bounding_box()
    assert root['width'] <= 390
    assert too_wide(page, 390, '.js-plotly-plot, .llgbm-chips') == []

def test_app_says_why_it_can_not_open(tmp_path):
    cells = [''.join(c['source']) for c in json.loads((ROOT/'nbs/apps/compose.ipynb').read_text())['cells'] if c['cell_type'] == 'code']
    code = '\n'.join(cells) + '\nprint(type(panel).__name__, panel.children[1].seen)'
    for env, why in (dict(LLGBM_ADAPTERS=str(tmp_path/'none')), 'no folder'), (dict(LLGBM_BASE=str(tmp_path/'nobody')), 'nobody'):
        done = subprocess.run([sys.executable, '-c', code], cwd=ROOT, env=os.environ | dict(LLGBM_OUTPUT=str(tmp_path)) | env, capture_output=True, text=True, timeout=WAIT)
        assert done.returncode == 0 and done.stdout.startswith('Panel [') and why in done.stdout, done.stdout + done.stderr

def test_nothing_broke(page, served):
    assert page.broken == []
    assert 'Traceback' not in (served[1]/'server.log').read_text()
