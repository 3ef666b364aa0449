"The amplification panel in a real browser, as an app of Voila and in JupyterLab: what is clicked is in files, and is there again."
import json, os, subprocess, sys

import pytest
import yaml

from browser import WAIT, desk_of, needs_browser, random_pool, run_in_lab, too_wide
from llgbm.lora import LoraAdapter
from repository import ROOT

pytestmark = needs_browser
APP, EVIL = ROOT/'nbs/apps/amplify.ipynb', '<img id=evil src=x onerror="document.title=1">'

def folder_and_env(tmp):
    "A workspace whose answers are short and always the same, and what tells the app of it."
    out = tmp/'work'
    out.mkdir()
    (out/'state.json').write_text(json.dumps(dict(sampling=dict(max_new_tokens=12, do_sample=False))))
    return out, dict(LLGBM_ADAPTERS=str(random_pool(tmp/'adapters')), LLGBM_OUTPUT=str(out))

def is_ready(page): page.wait_for_selector('.llgbm-tabs button.mod-active')

@pytest.fixture(scope='module', params=['voila', 'lab'])
def desk(request, tmp_path_factory):
    tmp = tmp_path_factory.mktemp(request.param)
    with desk_of(APP, tmp, request.param, *folder_and_env(tmp), is_ready) as d: yield d

def turn_to(page, tab):
    page.locator('.llgbm-tabs button', has_text=tab).click()
    page.wait_for_function("t => document.querySelector('.llgbm-tabs button.mod-active')?.textContent.trim() == t", arg=tab)

def button(page, text): return page.locator('.llgbm-panel button:visible').get_by_text(text, exact=True).first

def enter(page, where, text):
    page.locator(where).fill(text)
    page.keyboard.press('Enter')

def weights(desk):
    "What the config's file says now."
    rules = yaml.safe_load((desk.out/'configs/louder.yaml').read_text())['adapters'][0]['layer_amplifications']
    return [(r['layers'], [(m['modules'], m['weight']) for m in r['module_amplifications']]) for r in rules]

def test_config_is_built_by_clicking(desk):
    page = desk.page
    button(page, 'New').click()
    page.wait_for_selector('.llgbm-configname input')
    enter(page, '.llgbm-configname input', 'louder')
    page.wait_for_selector('.llgbm-config.chosen button:has-text("louder")')
    enter(page, '.llgbm-addadapter input', 'math/shout/0')
    page.wait_for_selector('.llgbm-rule')
    enter(page, '.llgbm-slidernumber input[type=number]', '2')
    page.wait_for_function("document.querySelector('.llgbm-comesto').textContent.includes('q_proj') && [...document.querySelectorAll('.llgbm-comesto td')].every(t => t.textContent == '2')")
    page.locator('.llgbm-slidernumber .noUi-handle').focus()
    page.keyboard.press('ArrowRight')
    page.wait_for_function("[...document.querySelectorAll('.llgbm-comesto td')].every(t => t.textContent == '2.1')")
    style = lambda where, what: page.evaluate('([w, p]) => [...new Set([...document.querySelectorAll(w)].map(e => getComputedStyle(e)[p]))]', [where, what])
    assert (style('.llgbm-moduleline > *', 'marginTop'), style('.llgbm-moduleline input', 'fontWeight'), style('.llgbm-slidernumber', 'display')) == (['0px'], ['400'], ['grid'])
    assert page.locator('.llgbm-slidernumber input[type=number]').input_value() == '2.1'
    button(page, '+ rule').click()
    page.wait_for_function("document.querySelectorAll('.llgbm-rule').length == 2")
    page.locator('.llgbm-layersfield select').nth(1).select_option(label='one layer')
    page.locator('.llgbm-layer:visible input').nth(0).fill('3')
    page.keyboard.press('Enter')
    page.locator('.llgbm-slidernumber input[type=number]').nth(1).fill('-7')        # beyond the slider
    page.keyboard.press('Enter')
    page.wait_for_function("[...document.querySelectorAll('.llgbm-comesto td')].some(t => t.textContent == '-7')")
    assert weights(desk) == [('all', [('all', 2.1)]), (3, [('all', -7.0)])]

def test_nonsense_is_said_at_its_field(desk):
    page, before = desk.page, weights(desk)
    page.locator('.llgbm-moduleline input[type=text]').nth(1).fill('q_prj')
    page.keyboard.press('Enter')
    said = page.wait_for_selector('.llgbm-wrong:not(.llgbm-hidden) .widget-html-content:has-text("did you mean")')
    assert said.evaluate("e => e.closest('.llgbm-modules') != null")
    page.locator('.llgbm-moduleline input[type=text]').nth(1).fill('all')
    page.keyboard.press('Enter')
    page.wait_for_function("!document.querySelector('.llgbm-wrong:not(.llgbm-hidden)')")
    page.locator('.llgbm-layer:visible input').nth(0).fill('three')                # no config at all: the file stays
    page.keyboard.press('Enter')
    page.wait_for_selector('text=the last change makes no sense yet')
    assert weights(desk) == before
    page.locator('.llgbm-layer:visible input').nth(0).fill('3')
    page.keyboard.press('Enter')
    page.wait_for_selector('.llgbm-comesto td')
    assert page.locator('.llgbm-error').count() == 0

def test_adapter_is_compiled(desk):
    button(desk.page, 'Compile').click()
    path = desk.page.wait_for_selector('.llgbm-code').inner_text()
    assert path.startswith(str(desk.out/'compiled')) and len(LoraAdapter.from_pretrained(path).pairs) == 8

def test_columns_are_generated(desk):
    page = desk.page
    turn_to(page, 'Multi-generation')
    page.locator('.llgbm-wide textarea:visible').fill('Tell me 3 plus 4.')
    page.locator('.llgbm-fields textarea:visible').nth(1).fill(EVIL)               # answers that begin with HTML
    page.locator('.llgbm-panel button:visible', has_text='Generate').first.click()
    page.wait_for_function("document.querySelectorAll('.llgbm-answer .llgbm-text').length == 3 && !document.querySelector('.llgbm-spin')")
    assert page.locator('.llgbm-answer b').all_inner_texts() == ['base', 'math/shout/0', 'louder']
    assert all(EVIL in t for t in page.locator('.llgbm-answer .llgbm-text').all_inner_texts()) and page.query_selector('#evil') is None

def say(page, text, n):
    "Say something, and wait for n messages and silence."
    enter(page, '.llgbm-chat-composer textarea', text)
    page.wait_for_function("n => document.querySelectorAll('.llgbm-chat-message').length == n && !document.querySelector('.llgbm-spin')", arg=n)

def test_two_turns_of_a_chat(desk):
    page = desk.page
    turn_to(page, 'Chat')
    page.locator('.llgbm-chat-who select').select_option(label='louder')
    say(page, f'Tell me 3 plus 4. {EVIL}', 2)
    say(page, 'And 5 plus 1?', 4)
    assert [m.split('\n')[0] for m in page.locator('.llgbm-chat-message').all_inner_texts()] == ['You', 'louder', 'You', 'louder']
    assert page.query_selector('#evil') is None
    page.locator('.llgbm-chat-assistant').last.get_by_role('button', name='Edit').click()
    page.locator('.llgbm-chat-editor textarea').fill(f'{EVIL} is what I say')
    button(page, 'Save').click()
    page.wait_for_selector('.llgbm-chat-assistant:has-text("is what I say")')
    assert EVIL in page.locator('.llgbm-chat-message').last.inner_text() and page.query_selector('#evil') is None

def is_as_it_was(desk):
    "The chat is open, and all else is there."
    page = desk.page
    page.wait_for_function("document.querySelector('.llgbm-tabs button.mod-active')?.textContent.trim() == 'Chat' && document.querySelectorAll('.llgbm-chat-message').length == 4")
    assert 'is what I say' in page.locator('.llgbm-chat-message').last.inner_text()
    turn_to(page, 'Multi-generation')
    page.wait_for_function("document.querySelectorAll('.llgbm-answer .llgbm-text').length == 3")
    turn_to(page, 'Amplifications')
    page.wait_for_selector('.llgbm-config.chosen button:has-text("louder")')
    assert [f.input_value() for f in page.locator('.llgbm-slidernumber input[type=number]').all()] == ['2.1', '-7']
    assert page.locator('.llgbm-numberfield input[type=number]').nth(2).input_value() == '12'
    turn_to(page, 'Chat')

def test_page_is_loaded_again(desk):
    desk.again()
    is_as_it_was(desk)

def test_kernel_is_restarted(desk):
    if desk.kind == 'voila': pytest.skip('in Voila, a page that is loaded again has a kernel of its own already')
    page = desk.page
    page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    page.wait_for_selector('.llgbm-dead:has-text("kernel")')                       # the page says so
    page.evaluate("() => window.jupyterapp.commands.execute('notebook:clear-all-cell-outputs')")
    page.wait_for_function("!document.querySelector('.llgbm-tabs')")
    run_in_lab(page, is_ready)
    is_as_it_was(desk)

def test_look_follows_theme_and_width(desk):
    if desk.kind == 'lab': pytest.skip('JupyterLab has a theme of its own')
    page, colour = desk.page, "() => getComputedStyle(document.querySelector('.llgbm-card')).backgroundColor"
    page.emulate_media(color_scheme='dark')
    assert page.evaluate(colour) == 'rgb(24, 29, 36)'
    page.set_viewport_size(dict(width=390, height=900))
    page.wait_for_function("document.querySelector('.llgbm-panel').getBoundingClientRect().width <= 390")
    for tab in 'Amplifications', 'Multi-generation', 'Multi-prompt', 'Chat', 'Sweep':
        turn_to(page, tab)
        page.wait_for_timeout(300)
        assert too_wide(page, 390, '.js-plotly-plot, .llgbm-comesto') == [], tab

def test_nothing_broke_and_nothing_left_the_machine(desk):
    assert (desk.page.broken, desk.page.refused, desk.page.locator('.llgbm-error').count()) == ([], [], 0)
    assert 'Traceback' not in desk.log.read_text()

def test_app_says_why_it_can_not_open(tmp_path):
    cells = [''.join(c['source']) for c in json.loads(APP.read_text())['cells'] if c['cell_type'] == 'code']
    code = '\n'.join(cells) + '\nprint(panel.errors.seen)'
    for env, why in (dict(LLGBM_ADAPTERS=str(tmp_path/'none')), 'no folder'), (dict(LLGBM_BASE=str(tmp_path/'nobody'), LLGBM_ENGINE='abacus'), 'abacus'):
        done = subprocess.run([sys.executable, '-c', code], cwd=ROOT, env=os.environ | dict(LLGBM_OUTPUT=str(tmp_path/'work')) | env, capture_output=True, text=True, timeout=WAIT)
        assert done.returncode == 0 and why in done.stdout, done.stdout + done.stderr
