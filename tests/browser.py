"What tests of panels in a real browser share: servers, pages, adapters that nobody trained."
import json, os, secrets, shutil, socket, subprocess, sys, time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from urllib.error import URLError
from urllib.request import urlopen

import pytest
import torch
from playwright.sync_api import sync_playwright

from llgbm.amplify_jobs import VOILA_OPTIONS
from llgbm.lab import open_base
from llgbm.lora import LoraBank
from repository import ROOT

CHROMIUM = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None)
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason='no chromium on the PATH (Debian: apt install chromium)')
WAIT = 300                      # seconds; a busy machine starts slowly

def random_pool(folder):
    "Six adapters of the lab's base that nobody trained."
    bank = LoraBank.init(open_base('lab').model, 6, 2, ['q_proj', 'v_proj'], seed=0)
    g = torch.Generator().manual_seed(0)
    bank = replace(bank, B={m: torch.randn(B.shape, generator=g) * .05 for m, B in bank.B.items()}, names=[f'{d}/{b}/0' for d in ('math', 'code') for b in ('polite', 'shout', 'json')])
    for i, n in enumerate(bank.names): bank[i].save_pretrained(folder/n)
    return folder

def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]

def answers(url):
    try: return urlopen(url, timeout=5).status == 200
    except (URLError, OSError) as e: return hasattr(e, 'code')      # an error page is an answer

@contextmanager
def serving(module, *args, env, out, ready, cwd=ROOT):
    "A Jupyter server in a process of its own: its address. What it says goes to out/server.log."
    port = free_port()
    with open(out/'server.log', 'w') as log: p = subprocess.Popen([sys.executable, '-m', module, *args, '--no-browser', f'--port={port}'], cwd=cwd, env=os.environ | env, stdout=log, stderr=log)
    url, end = f'http://localhost:{port}/', time.time() + WAIT
    try:
        while not answers(url + ready):
            assert p.poll() is None and time.time() < end, (out/'server.log').read_text()
            time.sleep(.2)
        yield url
    finally:
        p.terminate()
        p.wait(60)

@contextmanager
def browsing(width=1300, height=1000):
    "A page that reaches nothing but this machine; `broken` lists errors in it, `refused` what else it asked for."
    with sync_playwright() as p:
        b = p.chromium.launch(executable_path=CHROMIUM, args=['--no-sandbox'])
        pg = b.new_page(viewport=dict(width=width, height=height), color_scheme='light')
        pg.set_default_timeout(WAIT * 1000)
        pg.broken, pg.refused = [], []
        pg.on('pageerror', lambda e: pg.broken.append(str(e)))
        def route(r):
            if '://localhost:' in r.request.url or r.request.url.startswith(('data:', 'blob:')): return r.continue_()
            pg.refused.append(r.request.url)
            r.abort()
        pg.route('**/*', route)
        yield pg
        b.close()

def too_wide(page, width, but='.js-plotly-plot'):
    "What of a panel reaches beyond a width."
    return page.evaluate("([w, but]) => [...document.querySelectorAll('.llgbm-panel *')].filter(e => e.checkVisibility() && !e.closest(but) && e.getBoundingClientRect().right > w + 1).map(e => e.className)", [width, but])

TOKEN = secrets.token_hex(16)

def voila(app, tmp, env):
    return serving('voila', str(app), '--show_tracebacks=True', *VOILA_OPTIONS, env=env, out=tmp, ready='voila/static/voila.js')

def lab(app, tmp, env):
    "JupyterLab without news from outside, with a copy of an app's notebook."
    (tmp/'desk').mkdir()
    shutil.copy(app, tmp/'desk'/app.name)
    config = tmp/'config/labconfig'
    config.mkdir(parents=True)
    (config/'page_config.json').write_text(json.dumps(dict(disabledExtensions={'@jupyterlab/apputils-extension:announcements': True})))
    flags = [f'--IdentityProvider.token={TOKEN}', '--allow-root', '--LabApp.expose_app_in_browser=True', f'--ServerApp.root_dir={tmp}/desk', '--ServerApp.ip=127.0.0.1']
    return serving('jupyterlab', *flags, env=env | dict(JUPYTER_CONFIG_DIR=str(tmp/'config')), out=tmp, ready='api')

def run_in_lab(page, is_ready):
    "Run the notebook's cells, and save it with what they show."
    page.wait_for_selector('.jp-Notebook .jp-Cell')
    page.wait_for_function("(c => c?.isReady && c.session?.kernel?.status == 'idle')(window.jupyterapp?.shell.currentWidget?.sessionContext)")
    page.evaluate("async () => { await window.jupyterapp.shell.currentWidget.revealed; await window.jupyterapp.commands.execute('notebook:run-all-cells') }")
    is_ready(page)
    page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")

@contextmanager
def desk_of(app, tmp, kind, out, env, is_ready):
    "An app in a page, as `kind` 'voila' or 'lab' shows it, the folder that it writes to, and a way to see it all again."
    in_lab = kind == 'lab'
    with (lab if in_lab else voila)(app, tmp, env) as url, browsing(1500 if in_lab else 1300) as page:
        def again():
            page.reload(wait_until='commit')
            is_ready(page)
        page.goto(url + f'lab/tree/{app.name}?token={TOKEN}' * in_lab, wait_until='commit')
        if in_lab: run_in_lab(page, is_ready)
        is_ready(page)
        yield SimpleNamespace(page=page, out=out, again=again, kind=kind, log=Path(tmp)/'server.log')
