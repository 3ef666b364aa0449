"The routing panel in a real browser, as an app of Voila and in JupyterLab: what is typed is routed, asked and answered, and what is seen are the plain objects' own figures."
import json, os, subprocess, sys

import pytest

from browser import WAIT, desk_of, needs_browser, random_pool, too_wide
from llgbm.adaptive import LoopThread, open_adaptive
from llgbm.generation import GenerationLog, Request, Sampling, TransformersEngine
from llgbm.lab import open_base
from repository import ROOT

pytestmark = needs_browser
APP, EVIL = ROOT/'nbs/apps/route.ipynb', '<img id=evil src=x onerror="document.title=1">'
SUMS, CODE = 'Solve 3x + 4 = 10 for x.', 'The user writes python functions for a living.'

def is_ready(page): page.wait_for_selector('.llgbm-ex button')

@pytest.fixture(scope='module', params=['voila', 'lab'])
def desk(request, tmp_path_factory):
    tmp = tmp_path_factory.mktemp(request.param)
    random_pool(tmp/'adapters')
    (tmp/'adapters'/f'broken {EVIL[:4]}').mkdir()
    (tmp/'adapters'/f'broken {EVIL[:4]}'/'adapter_config.json').write_text('{')
    env = dict(LLGBM_ADAPTERS=str(tmp/'adapters'), LLGBM_OUTPUT=str(tmp/'work'))
    with desk_of(APP, tmp, request.param, tmp/'work', env, is_ready) as d:
        d.adaptive = open_adaptive(TransformersEngine(open_base('lab')), tmp/'adapters')
        yield d

def box(page, i): return page.locator('.llgbm-query textarea').nth(i)
def idle(page): page.wait_for_function("!document.querySelector('.llgbm-spin')")
def figures(page): return page.locator('.llgbm-bar b').all_inner_texts()
def ask(page):
    page.locator('button.mod-primary').click()
    page.wait_for_function("document.querySelectorAll('.llgbm-sample').length == 2 && !document.querySelector('.llgbm-stale') && !document.querySelector('.llgbm-spin')")

def plan_of(desk, query, memories=()):
    with LoopThread() as loop: return loop.run(desk.adaptive.plan(query, memories))

def test_broken_adapter_is_named(desk):
    page = desk.page
    page.wait_for_selector('.llgbm-error:has-text("broken <img")')
    page.locator('.llgbm-error button').click()
    page.wait_for_function("!document.querySelector('.llgbm-error')")

def test_typing_routes(desk):
    page, plan = desk.page, plan_of(desk, SUMS)
    box(page, 0).click()
    box(page, 0).press_sequentially(SUMS)
    page.wait_for_selector('.llgbm-bar.taken')
    idle(page)
    best = plan.routes.candidates[0]
    page.wait_for_function("t => document.querySelector('.llgbm-bar b').textContent == t", arg=f'{best.confidence:.2f}')
    assert page.locator('.llgbm-bar.taken span').inner_text().startswith(best.name) and list(plan.weights) == [best.name]
    assert page.locator('.llgbm-why li').all_inner_texts() == list(plan.why)
    assert '0 of 3 places' in page.locator('.llgbm-way').inner_text()          # nothing is loaded yet

def test_asked_it_loads_and_answers(desk):
    page = desk.page
    ask(page)
    [name] = plan_of(desk, SUMS).weights
    assert page.locator('.llgbm-table td').first.inner_text() == name
    asked = Request(SUMS, sampling=Sampling(do_sample=False, max_new_tokens=60))
    said = TransformersEngine(open_base('lab')).generate(asked, dict(a=desk.adaptive.manager.registry.get_adapter(name).read(), base=None))
    texts = page.locator('.llgbm-sample .llgbm-text').evaluate_all('es => es.map(e => e.textContent)')
    assert texts == [g.text if g.text.strip() else '(nothing)' for g in said]
    assert page.locator('.llgbm-sample b').all_inner_texts() == [name, 'base']
    assert len(GenerationLog(desk.out/'generations.jsonl').records()) >= 2

def test_memory_brings_another(desk):
    page, plan = desk.page, plan_of(desk, SUMS, [CODE])
    assert len(plan.weights) == 2
    box(page, 1).fill(CODE)
    page.wait_for_function("document.querySelectorAll('.llgbm-bar.taken').length == 2")
    page.wait_for_selector('.llgbm-stale')                                     # the old answer knew nothing of it
    ask(page)
    assert page.locator('.llgbm-table tr').count() == 3
    assert page.locator('.llgbm-why li').all_inner_texts() == list(plan.why)
    box(page, 1).fill('')
    page.wait_for_function("document.querySelectorAll('.llgbm-bar.taken').length == 1")

def test_threshold_moves_the_line(desk):
    page = desk.page
    page.locator('.llgbm-threshold .noUi-handle').focus()
    page.keyboard.press('End')
    page.wait_for_function("document.querySelector('.llgbm-bar em').style.left == '100%' && !document.querySelector('.llgbm-bar.taken')")
    page.wait_for_function("document.querySelector('.llgbm-why').textContent.includes('no adapter reaches 100%')")
    ask(page)
    texts = page.locator('.llgbm-sample .llgbm-text').all_inner_texts()
    assert texts[0] == texts[1] and page.locator('.llgbm-sample b').first.inner_text() == 'the base alone'
    page.locator('.llgbm-threshold .noUi-handle').focus()
    page.keyboard.press('Home')
    page.wait_for_function("document.querySelectorAll('.llgbm-bar.taken').length > 0")

def test_nothing_typed_becomes_html(desk):
    page = desk.page
    box(page, 0).fill(EVIL + ' my python list is empty')
    idle(page)
    ask(page)
    assert page.query_selector('#evil') is None and page.title() != '1'
    box(page, 0).fill('')
    page.wait_for_function("document.querySelector('.llgbm-way').textContent.includes('Type a question')")
    page.locator('button.mod-primary').click()
    page.wait_for_selector('.llgbm-error:has-text("type a question first")')
    page.locator('.llgbm-error button').click()

def test_examples_can_be_clicked(desk):
    page = desk.page
    page.locator('.llgbm-ex button').nth(1).click()
    page.wait_for_function("document.querySelectorAll('.llgbm-bar').length > 0")
    assert box(page, 0).input_value() == page.locator('.llgbm-ex button').nth(1).inner_text()

def test_look_follows_theme_and_width(desk):
    if desk.kind == 'lab': pytest.skip('JupyterLab has a theme of its own')
    page = desk.page
    page.emulate_media(color_scheme='dark')
    assert page.evaluate("() => getComputedStyle(document.querySelector('.llgbm-card')).backgroundColor") == 'rgb(24, 29, 36)'
    page.set_viewport_size(dict(width=390, height=900))
    page.wait_for_function("document.querySelector('.llgbm-panel').getBoundingClientRect().width <= 390")
    page.wait_for_timeout(300)
    assert too_wide(page, 390) == []
    assert page.locator('.llgbm-bar span').first.bounding_box()['width'] > 120         # names keep room

def test_nothing_broke_and_nothing_left_the_machine(desk):
    assert (desk.page.broken, desk.page.refused, desk.page.locator('.llgbm-error').count()) == ([], [], 0)
    assert 'Traceback' not in desk.log.read_text()

def test_app_says_why_it_can_not_open(tmp_path):
    cells = [''.join(c['source']) for c in json.loads(APP.read_text())['cells'] if c['cell_type'] == 'code']
    code = '\n'.join(cells) + '\nprint(panel.errors.seen)'
    done = subprocess.run([sys.executable, '-c', code], cwd=ROOT, env=os.environ | dict(LLGBM_OUTPUT=str(tmp_path/'work'), LLGBM_ADAPTERS=str(tmp_path/'none')), capture_output=True, text=True, timeout=WAIT)
    assert done.returncode == 0 and 'no folder' in done.stdout, done.stdout + done.stderr
