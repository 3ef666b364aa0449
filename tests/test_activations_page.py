"The activations page in a real browser: from disk without network, and served with a file of notes."
import errno, json, os, shutil, threading, time
from contextlib import contextmanager

import pytest
import uvicorn
from playwright.sync_api import expect, sync_playwright

import llgbm.interpretations
from activation_world import MLP, activations
from llgbm.activations_page import write_page
from llgbm.interpretations import Interpretations, Note
from llgbm.notes_server import listen, notes_app, served_page

CHROMIUM = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason='no chromium on the PATH (Debian: apt install chromium)')
WAIT = 60_000                   # milliseconds; a busy machine is slow
expect.set_options(timeout=WAIT)

@pytest.fixture(scope='module')
def folder(tmp_path_factory): return tmp_path_factory.mktemp('activations')

@pytest.fixture(scope='module')
def small(folder):
    "A small page and its data."
    data = activations(layers=3, rank=2)
    return write_page(data, folder/'small.html').path, data

@pytest.fixture(scope='module')
def chromium():
    with sync_playwright() as p:
        b = p.chromium.launch(executable_path=CHROMIUM, args=['--no-sandbox'])
        yield b
        b.close()

class Visit:
    "A browser of its own: pages that share what is stored, and whatever they did wrong."
    def __init__(self, chromium):
        self.context = chromium.new_context(viewport=dict(width=1300, height=900), color_scheme='light', accept_downloads=True)
        self.context.set_default_timeout(WAIT)
        self.requests, self.broken, self.away = [], [], False       # away: there is no server at times, which browsers report
    def open(self, url):
        pg = self.context.new_page()
        pg.on('request', lambda r: self.requests.append(r.url))
        pg.on('pageerror', lambda e: self.broken.append(str(e)))
        pg.on('console', lambda m: self.broken.append(m.text) if m.type == 'error' else None)
        pg.goto(url if isinstance(url, str) else url.as_uri())
        pg.wait_for_function("() => performance.getEntriesByName('opened').length")
        return pg

@pytest.fixture
def visit(chromium):
    v = Visit(chromium)
    yield v
    v.context.close()
    assert [m for m in v.broken if not (v.away and 'ERR_' in m)] == []

def heading(pg): return pg.locator('main h2')
def shown(pg): return pg.evaluate('decodeURIComponent(location.hash.slice(1))')
def rows(pg): return pg.evaluate("[...document.querySelectorAll('#rows .row b')].map(b => b.textContent)")
def count(pg): return pg.locator('#count')
def note(pg, key): return pg.locator(f'[data-note="{key}"]')
def star(pg, key): return pg.locator(f'[data-star="{key}"]')
def ranked(data): return sorted((d for m in data['modules'] for d in m['directions']), key=lambda d: d['importance']['rank'])
def name(d):
    _, layer, *proj, i = d['id'].split('_')
    return f"{layer} {'_'.join(proj)} {i}"

def test_opens_on_what_matters_and_asks_nobody(visit, small):
    path, data = small
    pg = visit.open(path)
    first, second, *_ = ranked(data)
    assert rows(pg)[:2] == [name(first), name(second)]
    assert heading(pg).inner_text().startswith(f"Layer {first['id'].split('_')[1]} · ")
    e = first['positive'][0]
    assert pg.locator('.side.positive mark').first.inner_text().strip() in e['tokens'][e['target']]
    assert pg.locator('.side.positive .examples li').count() == len(first['positive'])
    pg.keyboard.press('j'); pg.keyboard.press('c')
    pg.wait_for_selector('.columns')
    pg.fill('#query', 'x'); pg.wait_for_timeout(500)
    assert visit.requests == [path.as_uri()]

def test_keys(visit, small):
    path, data = small
    pg, order = visit.open(path), ranked(data)
    for key, i in ('j', 1), ('ArrowRight', 2), ('k', 1), ('ArrowLeft', 0), ('ArrowLeft', 0), ('j', 1):
        pg.keyboard.press(key)
        pg.wait_for_function("n => document.querySelector('#rows .row[aria-selected=true] b').textContent === n", arg=name(order[i]))
        expect(pg.locator(f'[data-note="{order[i]["id"]}_positive"]')).to_be_visible()
    pg.locator('#list').focus()
    pg.keyboard.press('End')
    expect(note(pg, f'{order[-1]["id"]}_positive')).to_be_visible()
    assert pg.evaluate("document.getElementById(document.getElementById('list').getAttribute('aria-activedescendant')).getAttribute('aria-posinset')") == str(len(order))
    pg.keyboard.press('Home')
    pg.keyboard.press('ArrowDown')
    expect(note(pg, f'{order[1]["id"]}_positive')).to_be_visible()

def test_focus_stays_where_it_was(visit, small):
    pg = visit.open(small[0])
    pg.focus('[title="Next (j)"]')
    for n in 1, 2:
        pg.keyboard.press('Enter')
        expect(pg.locator(f'.row[aria-selected=true][aria-posinset="{n + 1}"]')).to_have_count(1)
        expect(pg.locator('[title="Next (j)"]')).to_be_focused()
    here = heading(pg).text_content()
    pg.focus('.skip')
    pg.keyboard.press('Enter')
    expect(pg.locator('main')).to_be_focused()
    pg.evaluate("location.hash = 'no-direction'")
    expect(heading(pg)).to_have_text(here)
    assert shown(pg) == 'no-direction'

def test_layers_addresses_and_links(visit, small):
    path, _ = small
    pg = visit.open(path.as_uri() + '#layer_1_up_proj_d1')
    expect(heading(pg)).to_contain_text('Layer 1 · up_proj · d1')
    pg.keyboard.press('l')
    expect(heading(pg)).to_contain_text('Layer 2 · up_proj · d1')
    pg.keyboard.press('h'); pg.keyboard.press('h'); pg.keyboard.press('h')
    expect(heading(pg)).to_contain_text('Layer 0 · up_proj · d1')
    to = pg.locator('.cosines a').first
    target = to.inner_text()
    to.click()
    pg.wait_for_function("n => document.querySelector('#rows .row[aria-selected=true] b').textContent === n", arg=target)
    pg.go_back()
    expect(heading(pg)).to_contain_text('Layer 0 · up_proj · d1')
    pg.get_by_role('button', name='Layer 2 · v_proj').click()
    expect(heading(pg)).to_contain_text('Layer 2 · v_proj')
    pg.keyboard.press('ArrowDown')                                         # within the map, to the next module
    assert pg.evaluate('document.activeElement.getAttribute("aria-label")') == 'Layer 2 · o_proj'

def test_side_by_side(visit, small):
    path, _ = small
    pg = visit.open(path.as_uri() + '#layer_1_up_proj_d1')
    pg.keyboard.press('c')
    expect(pg.locator('.column h3 a')).to_have_text([f'1 {p} d1' for p in MLP])
    assert shown(pg) == 'layer_1_up_proj_d1&beside'
    pg.reload()
    expect(pg.locator('.column h3 a')).to_have_text([f'1 {p} d1' for p in MLP])
    pg.locator('.column h3 a').first.click()
    expect(heading(pg)).to_contain_text('Layer 1 · gate_proj · d1')

def test_sort_and_filter(visit, small):
    path, data = small
    pg = visit.open(path)
    every = [d for m in data['modules'] for d in m['directions']]
    pg.select_option('#sort', 'strength')
    assert rows(pg)[0] == name(max(every, key=lambda d: d['strength']))
    pg.select_option('#sort', 'layer')
    assert rows(pg)[:3] == [name(d) for d in every[:3]]
    pg.select_option('#layer', '2'); pg.select_option('#proj', 'o_proj')
    assert rows(pg) == ['2 o_proj d0', '2 o_proj d1']
    expect(count(pg)).to_have_text(f'2 of {len(every)} directions')

def test_search(visit, folder):
    data = activations(layers=3, rank=2, seed=5)
    hit, other = data['modules'][4]['directions'][1], data['modules'][9]['directions'][0]
    e = hit['negative'][2]
    e['tokens'][e['target']] = ' Zweck'
    other['positive'][1]['tokens'][:2] = [' New', ' York']
    other['effects']['promoted'][3][0] = 'Kaffee'
    pg = visit.open(write_page(data, folder/'search.html').path)
    pg.keyboard.press('/')
    for text, found in ('zweck', hit), ('new york', other), ('KAFFEE', other):
        pg.fill('#query', text)
        expect(pg.locator('#rows .row b')).to_have_text([name(found)])
    pg.fill('#query', 'New York'); pg.keyboard.press('Enter')
    expect(note(pg, f'{other["id"]}_positive')).to_be_visible()
    assert pg.evaluate("[...CSS.highlights.get('found')].map(r => r.toString())") == ['New York']
    note(pg, f'{other["id"]}_negative').fill('names of cities')
    pg.fill('#query', 'cities')
    expect(pg.locator('#rows .row .preview')).to_have_text(['names of cities'])
    pg.fill('#query', 'zzzz')
    expect(count(pg)).to_have_text('0 of 42 directions')
    pg.locator('#query').focus(); pg.keyboard.press('Escape')
    expect(count(pg)).to_have_text('42 of 42 directions')

def test_texts_stay_texts(visit, folder):
    data = activations(layers=2, rank=2, k=8, vocabulary=30, nasty=True)
    pg = visit.open(write_page(data, folder/'nasty.html').path)
    seen = ''
    for _ in range(6):
        seen += pg.inner_text('main')
        pg.keyboard.press('j')
        pg.wait_for_timeout(100)
    assert {s: s in seen for s in ('<script>document.title="broken"</script>', '<img src=x onerror=alert(1)>', '‹RLO›', '‹RLM›', '‹U+D83D›', 'a⏎b', '⇥', '‹U+0000›', '&amp;', '{{js}}', '∅', 'שלום')} == dict.fromkeys(('<script>document.title="broken"</script>', '<img src=x onerror=alert(1)>', '‹RLO›', '‹RLM›', '‹U+D83D›', 'a⏎b', '⇥', '‹U+0000›', '&amp;', '{{js}}', '∅', 'שלום'), True)
    assert pg.query_selector('#evil') is None and 'broken' not in pg.title() and pg.inner_text('#name') == '<b id=evil>made up</b>‹RLO›'
    assert pg.evaluate(r"/[\u202e\u200f\0]/.test(document.body.innerText)") is False
    key = pg.locator('[data-note]').first.get_attribute('data-note')
    note(pg, key).fill('<img src=x onerror=alert(1)>\n\u202eback')
    expect(pg.locator('#rows .noted')).to_have_text('<img src=x onerror=alert(1)>⏎‹RLO›back')

def test_values_on_hover(visit, small):
    path, data = small
    pg, d = visit.open(path), ranked(data)[0]
    pg.locator('.side.positive mark').first.hover()
    expect(pg.locator('#tip')).to_contain_text(f"+{d['positive'][0]['value']:.3g}")
    pg.locator('.histogram .room').nth(3).hover(force=True)
    expect(pg.locator('#tip')).to_contain_text('tokens')

def test_notes_stay_in_the_browser(visit, small):
    path, data = small
    one, two = visit.open(path), visit.open(path)
    a, b = (f'{d["id"]}_positive' for d in ranked(data)[:2])
    one.keyboard.press('n'); one.keyboard.type('polite jk words'); one.keyboard.press('Escape'); one.keyboard.press('s')
    expect(star(two, a)).to_have_attribute('aria-pressed', 'true')         # the other tab sees it
    expect(note(two, a)).to_have_value('polite jk words')
    two.keyboard.press('j'); note(two, b).fill('digits')
    one.reload()
    expect(note(one, a)).to_have_value('polite jk words')
    one.keyboard.press('j')
    expect(note(one, b)).to_have_value('digits')
    one.locator('#starred').click()
    assert rows(one) == [name(ranked(data)[0])]
    expect(one.locator('#saved')).to_have_text('2 notes in this browser')

def test_full_browser_says_so_before_notes_are_lost(visit, small):
    pg, asked = visit.open(small[0]), []
    pg.on('dialog', lambda d: (asked.append(d.type), d.accept()))
    pg.evaluate("() => { for (let n = 2 ** 22; n >= 1; n = n > 1 ? n >> 1 : 0) for (let i = 0; ; i++) try { localStorage.setItem(`fill-${n}-${i}`, 'x'.repeat(n)); } catch { break; } }")
    field = pg.locator('textarea').first
    field.press_sequentially('nowhere to go')
    expect(pg.locator('#problem')).to_contain_text('Not saved: this browser has no room left: export your notes')
    with pg.expect_download() as found: pg.click('#export')
    assert 'nowhere to go' in [n['text'] for n in json.loads(found.value.path().read_text())['interpretations'].values()]
    pg.goto('about:blank')
    assert asked == ['beforeunload']

def test_export_and_import(visit, chromium, small, folder):
    path, data = small
    pg, (a, b) = visit.open(path), (f'{d["id"]}_positive' for d in ranked(data)[:2])
    note(pg, a).fill('polite')
    with pg.expect_download() as got: pg.locator('#export').click()
    got.value.save_as(folder/'interpretations.json')
    saved = json.loads((folder/'interpretations.json').read_text())['interpretations']
    assert (saved[a]['text'], saved[a]['starred']) == ('polite', False) and Interpretations(folder/'interpretations.json').notes[a].text == 'polite'
    newer = dict(interpretations={a: dict(text='polite, newer', starred=True, lastModified='2999-01-01T00:00:00'), b: dict(text='digits', starred=False, lastModified='2020-01-01T00:00:00.000Z')})
    (folder/'newer.json').write_text(json.dumps(newer))
    older = dict(interpretations={a: dict(text='an old one', starred=False, lastModified='2020-01-01T00:00:00Z')})
    (folder/'older.json').write_text(json.dumps(older))
    pg.set_input_files('#file', folder/'older.json')
    expect(pg.locator('#problem .done')).to_contain_text('1 note in older.json: 0 taken; 1 left out, as yours are the same or newer')
    pg.set_input_files('#file', folder/'newer.json')
    expect(note(pg, a)).to_have_value('polite, newer')
    pg.get_by_role('button', name='Put mine back').click()
    expect(note(pg, a)).to_have_value('polite')
    pg.keyboard.press('j')
    expect(note(pg, b)).to_have_value('digits')
    for bad in '{"interpretations": {', '[]', '{"interpretations": {"x": {"text": 3}}}':
        (folder/'bad.json').write_text(bad)
        pg.set_input_files('#file', folder/'bad.json')
        expect(pg.locator('#problem')).to_contain_text("bad.json can't be imported")
        pg.get_by_role('button', name='Dismiss').click()
    expect(note(pg, b)).to_have_value('digits')

@contextmanager
def served(page, notes, port=0):
    "The server, in a thread; where it is."
    with listen(port) as s:
        server = uvicorn.Server(uvicorn.Config(notes_app(served_page(page), notes), log_level='warning'))
        thread = threading.Thread(target=server.run, kwargs=dict(sockets=[s]))
        thread.start()
        try: yield f'http://127.0.0.1:{s.getsockname()[1]}/'
        finally:
            server.should_exit = True
            thread.join(30)

def until(true):
    "Wait for a condition of this process."
    end = time.time() + WAIT / 1000
    while not true():
        assert time.time() < end
        time.sleep(.05)

def test_two_tabs_of_the_server(visit, small, tmp_path):
    path, data = small
    notes, (a, b) = Interpretations(tmp_path/'interpretations.json'), (f'{d["id"]}_positive' for d in ranked(data)[:2])
    with served(path, notes) as url:
        one, two = visit.open(url), visit.open(url)
        one.bring_to_front()
        note(one, a).fill('please')
        until(lambda: a in notes.notes)
        expect(note(two, a)).to_have_value('please')                       # seen by the other tab
        two.route('**/notes', lambda r: r.abort())                         # which is now cut off …
        note(two, a).fill('please, and thanks'); star(two, a).click()
        expect(two.locator('#problem')).to_contain_text("the server doesn't answer")
        note(one, a).fill('please at the start')
        until(lambda: notes.read()[a].text == 'please at the start')
        two.unroute('**/notes')                                            # … and back
        until(lambda: notes.read()[a].starred)
        assert notes.read()[a].text == 'please at the start\n\nplease, and thanks'
        expect(note(one, a)).to_have_value('please at the start\n\nplease, and thanks')
        expect(note(two, a)).to_have_value('please at the start\n\nplease, and thanks')
        notes.put(b, Note('from a notebook'))
        one.keyboard.press('Escape'); one.locator('#main').focus(); one.keyboard.press('j')
        expect(note(one, b)).to_have_value('from a notebook')
        visit.broken = [m for m in visit.broken if 'ERR_FAILED' not in m]
        visit.away = True                                                  # the page may ask once more than there is a server
    assert json.loads(notes.path.read_text())['interpretations'][a]['starred'] is True
    assert set(visit.requests) == {url, f'{url}notes'}

def test_a_long_import_reaches_the_file(visit, small, tmp_path):
    path, _ = small
    notes, many = Interpretations(tmp_path/'interpretations.json'), {f'layer_{i}_up_proj_positive': dict(text=f'{i} ' + 'x' * 4000, starred=i % 2 == 0, lastModified='2025-07-21T05:00:10.069773') for i in range(300)}
    (tmp_path/'many.json').write_text(json.dumps(dict(interpretations=many)))
    with served(path, notes) as url:
        pg = visit.open(url)
        pg.set_input_files('#file', tmp_path/'many.json')
        until(lambda: len(notes.read()) == 300)
        expect(pg.locator('#saved')).to_have_text('300 notes in the file')
        visit.away = True
    assert {k: (n.text, n.starred, n.lastModified) for k, n in notes.read().items()} == {k: (n['text'], n['starred'], '2025-07-21T05:00:10.069Z') for k, n in many.items()}

def test_full_disk(visit, small, tmp_path, monkeypatch):
    path, data = small
    notes, key = Interpretations(tmp_path/'interpretations.json'), f'{ranked(data)[0]["id"]}_positive'
    def full(path, *a): raise OSError(errno.ENOSPC, 'No space left on device', str(path))
    with served(path, notes) as url:
        pg = visit.open(url)
        monkeypatch.setattr(llgbm.interpretations, 'write_json', full)
        note(pg, key).fill('not to be lost')
        expect(pg.locator('#problem')).to_contain_text('Not saved: No space left on device: interpretations.json')
        expect(pg.locator('#saved')).to_have_text('1 not saved')
        pg.reload()                                                        # the browser keeps it
        expect(note(pg, key)).to_have_value('not to be lost')
        monkeypatch.undo()
        until(lambda: notes.read().get(key, Note()).text == 'not to be lost')
        expect(pg.locator('#problem')).to_be_hidden()
        visit.broken = [m for m in visit.broken if '507' not in m]
        visit.away = True

def test_server_goes_and_comes(visit, small, tmp_path):
    path, data = small
    notes, key = Interpretations(tmp_path/'interpretations.json'), f'{ranked(data)[0]["id"]}_negative'
    with served(path, notes) as url: pg = visit.open(url)
    note(pg, key).fill('written while it was away')
    expect(pg.locator('#problem')).to_contain_text("the server doesn't answer")
    with served(path, notes, int(url.split(':')[2].strip('/'))): until(lambda: notes.read().get(key, Note()).text == 'written while it was away')
    visit.away = True

def test_damaged_notes_are_kept_aside(visit, small, tmp_path):
    path, _ = small
    (tmp_path/'interpretations.json').write_text('{"interpretations": {"layer_')
    notes = Interpretations(tmp_path/'interpretations.json')
    with served(path, notes) as url:
        expect(visit.open(url).locator('#problem')).to_contain_text('damaged and is kept as interpretations.json.damaged-')
        visit.away = True
    [aside] = tmp_path.glob('interpretations.json.damaged-*')
    assert aside.read_text() == '{"interpretations": {"layer_'

def test_damaged_page_says_where(visit, small, tmp_path):
    path, _ = small
    text = path.read_text(encoding='utf-8')
    at = text.index('id="module-5">') + 300
    (tmp_path/'damaged.html').write_text(text[:at] + 'AAAA' + text[at + 4:], encoding='utf-8')
    pg = visit.open((tmp_path/'damaged.html').as_uri() + '#layer_0_v_proj_d0')
    expect(pg.locator('.broken')).to_contain_text("The data of model.layers.0.self_attn.v_proj can't be read")
    pg.keyboard.press('l')
    expect(heading(pg)).to_contain_text('Layer 1 · v_proj · d0')

def test_look(visit, small):
    path, _ = small
    pg = visit.open(path)
    colour = "getComputedStyle(document.querySelector('.card')).backgroundColor"
    assert pg.evaluate(colour) == 'rgb(255, 255, 255)'
    pg.emulate_media(color_scheme='dark')
    assert pg.evaluate(colour) == 'rgb(24, 29, 36)'
    pg.locator('#theme').click()                                           # light, whatever the system says
    assert pg.evaluate(colour) == 'rgb(255, 255, 255)'
    pg.reload(); pg.wait_for_selector('.card')
    assert pg.evaluate(colour) == 'rgb(255, 255, 255)'
    assert pg.evaluate("[...document.querySelectorAll('button, input, select, textarea, a')].filter(e => !(e.getAttribute('aria-label') || e.textContent.trim() || e.closest('label'))).map(e => e.outerHTML)") == []
    for size in (390, 844), (900, 700):
        pg.set_viewport_size(dict(width=size[0], height=size[1]))
        wide = "[...document.querySelectorAll('body *')].filter(e => e.checkVisibility() && !e.closest('.columns, #map, .row, #tip, .chips, .skip, .unseen') && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 80))"
        assert pg.evaluate(wide) == []
        assert pg.evaluate('document.documentElement.scrollWidth') <= size[0]
    pg.set_viewport_size(dict(width=390, height=844))
    pg.get_by_role('button', name='All directions').click()
    pg.locator('#rows .row').nth(2).click()
    expect(pg.locator('#side')).to_be_hidden()
    pg.get_by_role('button', name='Next').last.click()
    expect(pg.locator('#rows .row[aria-selected=true]')).to_have_attribute('aria-posinset', '4')

def test_odd_adapters(visit, folder):
    "Ranks that differ, a module outside the layers, ids that no address holds as they are."
    data = activations(layers=2, rank=3)
    head = json.loads(json.dumps(data['modules'][0]).replace('layer_0_gate_proj', 'lm_head 100% & <é>'))
    data['modules'] = [m | dict(directions=m['directions'][:1 + i % 3]) for i, m in enumerate(data['modules'])] + [head | dict(module='lm_head', layer=None, proj='lm_head', kind='other')]
    pg = visit.open(write_page(data, folder/'odd.html').path)
    pg.select_option('#proj', 'lm_head')
    pg.locator('#rows .row', has_text='lm_head d1').click()
    expect(heading(pg)).to_contain_text('lm_head · d1')
    assert shown(pg) == 'lm_head 100% & <é>_d1'
    pg.keyboard.press('s'); pg.keyboard.press('l'); pg.keyboard.press('c')
    expect(pg.locator('.column')).to_have_count(1)
    pg.reload()
    expect(pg.locator('.column')).to_have_count(1)
    expect(star(pg, 'lm_head 100% & <é>_d1_positive')).to_have_attribute('aria-pressed', 'true')
    pg.goto(pg.url.split('#')[0] + '#layer_0_down_proj_d2')
    expect(heading(pg)).to_contain_text('Layer 0 · down_proj · d2')
    pg.keyboard.press('c')                                                 # its sisters have fewer directions
    expect(pg.locator('.column h3 a')).to_have_text(['0 gate_proj', '0 up_proj d0', '0 down_proj d2'])
    pg.goto(pg.url.split('#')[0] + '#%E0%A4%A&nobody')                     # no address
    expect(heading(pg)).to_be_visible()

def test_empty(visit, folder):
    pg = visit.context.new_page()
    pg.goto(write_page(activations(layers=0), folder/'empty.html').path.as_uri())
    expect(pg.locator('main')).to_contain_text('no directions')
    silent = activations(layers=1, rank=1)
    silent['modules'][0]['directions'][0].update(positive=[], negative=[], count=0, min=0., max=0., mean=0., std=0., histogram=dict(edges=[0., 0.], counts=[0]), effects=None, cosines=[])
    for m in silent['modules']:
        for d in m['directions']: d['importance'] = None
    pg = visit.open(write_page(silent, folder/'silent.html').path.as_uri() + '#layer_0_gate_proj')
    expect(pg.locator('.side.negative')).to_contain_text('No token had a negative value')
    assert pg.locator('#sort option').all_inner_texts() == ['strength', 'layer']

def test_importance_comes_first(visit, folder):
    data = activations(layers=1, rank=2)
    for ablated in True, False:
        if not ablated:
            for d in ranked(data): d['importance']['kl'] = None
        pg = visit.open(write_page(data, folder/f'ranked-{ablated}.html').path)
        assert pg.locator('#sort').input_value() == 'importance'
        assert shown(pg) in ('', ranked(data)[0]['id'])
        expect(pg.locator('main')).to_contain_text('rank 1 of 14')
        assert ('KL when ablated' in pg.locator('main').inner_text()) == ablated

SWITCH = """async key => { const n = performance.getEntriesByName('shown').length, start = performance.now();
    document.body.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }));
    while (performance.getEntriesByName('shown').length === n) await new Promise(r => setTimeout(r, 1));
    await new Promise(r => requestAnimationFrame(() => setTimeout(r)));
    return performance.now() - start }"""

def test_full_size(visit, folder, capsys):
    "Qwen2.5-1.5B with rank 16 on everything. Times are printed, not judged: they tell about the machine as well."
    written = write_page(activations(28, rank=16, k=16, window=10, vocabulary=30_000), folder/'full.html')
    assert (written.directions, written.examples) == (3136, 100_352) and written.size <= 60e6
    pg = visit.open(written.path)
    opened = pg.evaluate("performance.getEntriesByName('shown')[0].startTime")
    times = []
    for _ in range(30): times.append(pg.evaluate(SWITCH, 'j')); pg.wait_for_timeout(100)
    pg.fill('#query', 'gen')
    pg.wait_for_function("() => document.getElementById('count').textContent.includes('reading')")
    start = time.time()
    pg.wait_for_function("() => !document.getElementById('count').textContent.includes('reading')")
    searched = time.time() - start
    assert pg.locator('#rows .row').count() > 0 and pg.locator('#rows .row').count() < 60
    assert visit.requests == [written.path.as_uri()]
    with capsys.disabled(): print(f'\n{written.size / 1e6:.1f} MB, first view after {opened:.0f} ms, switching {sorted(times)[15]:.0f} ms (at most {max(times):.0f}), reading all contexts {searched:.1f} s')
