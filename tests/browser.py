"What tests of panels in a real browser share: servers, pages, adapters that nobody trained."
import os, shutil, socket, subprocess, sys, time
from contextlib import contextmanager
from dataclasses import replace
from urllib.error import URLError
from urllib.request import urlopen

import pytest
import torch
from playwright.sync_api import sync_playwright

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
