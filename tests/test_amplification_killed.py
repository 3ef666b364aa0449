"A compile that is killed at any moment leaves nothing that looks whole, and the next one succeeds."
import json, os, subprocess, sys

import pytest
import torch

from llgbm.amplification import RECORD_FILE, AmplificationConfig
from llgbm.lora import LoraAdapter, LoraPair

MODULES = [f'model.layers.{l}.self_attn.{p}_proj' for l in range(4) for p in 'qv']

COMPILER = """
import itertools, os, random, signal, sys, time
import llgbm.amplification as amp, llgbm.files as files

def config(weight): return amp.AmplificationConfig.from_dict(dict(name='x', adapters=[dict(adapter_id=sys.argv[1], layer_amplifications=[dict(layers='all', module_amplifications=[dict(modules='all', weight=weight)])])]))
def forked(work):
    if pid := os.fork(): return pid
    work(); os._exit(0)
def die(*args, **kw): os.kill(os.getpid(), signal.SIGKILL)
def nth(f, n):
    "f, which kills its process when it is called for the nth time."
    calls = iter(range(n, -1, -1))
    return lambda *args, **kw: f(*args, **kw) if next(calls) else die()
def before(where, name, n=0):
    def compile(): setattr(where, name, nth(getattr(where, name), n)); config(2).compile(sys.argv[2])
    return compile

POINTS = {f'tensor {n}': before(amp, '_stream_tensor', n) for n in (0, 1, 7, 15)} | {'name': before(amp, '_name'), 'record': before(amp, '_record'), 'rename': before(files, '_swap_in')}
for point, compile in POINTS.items():
    status = os.waitpid(forked(compile), 0)[1]
    print(point, os.waitstatus_to_exitcode(status), *(n for n in os.listdir(sys.argv[2]) if n[0] != '.'), flush=True)

def many(start):
    for w in itertools.count(start): config(w).compile(sys.argv[2])
rng = random.Random(0)
for i in range(15):
    child = forked(lambda: many(1000 * i + 3))
    time.sleep(rng.uniform(0, .3))
    os.kill(child, signal.SIGKILL); os.waitpid(child, 0)
"""

def make_adapter(folder):
    g = torch.Generator().manual_seed(0)
    return LoraAdapter({m: LoraPair(torch.randn(4, 64, generator=g), torch.randn(64, 4, generator=g), .5) for m in MODULES}, base='tiny').save_pretrained(folder)

def whole(folder):
    "Everything that has a name, checked against the same config applied in memory."
    names = [n for n in os.listdir(folder) if n[0] != '.']
    for n in names:
        record = json.loads((folder/n/RECORD_FILE).read_text())
        want, got = AmplificationConfig.from_dict(record['config']).apply(), LoraAdapter.from_pretrained(folder/n)
        for m in MODULES: assert torch.equal(got[m].B, want[m].B) and torch.equal(got[m].A, want[m].A) and got[m].scaling == want[m].scaling
    return names

@pytest.mark.skipif(not hasattr(os, 'fork'), reason='needs fork')
def test_killed_compile(tmp_path):
    adapter, out = make_adapter(tmp_path/'adapter'), tmp_path/'out'
    run = subprocess.run([sys.executable, '-c', COMPILER, adapter, out], capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines() == [f'{p} -9' for p in ('tensor 0', 'tensor 1', 'tensor 7', 'tensor 15', 'name', 'record', 'rename')]     # killed, and nothing has a name
    assert whole(out)
    left = [n for n in os.listdir(out) if n[0] == '.']
    assert len(left) >= 7
    config = lambda weight: AmplificationConfig.from_dict(dict(name='x', adapters=[dict(adapter_id=str(adapter), layer_amplifications=[dict(layers='all', module_amplifications=[dict(modules='all', weight=weight)])])]))
    before = set(whole(out))
    made = config(2).compile(out)
    assert {*whole(out)} - before == {made.name}                                          # the one that was killed seven times
    assert {n for n in os.listdir(out) if n[0] == '.'} == set(left)                       # they may be somebody's who is at work
    for n in left: os.utime(out/n, (0, 0))
    config(-5).compile(out)
    assert [n for n in os.listdir(out) if n[0] == '.'] == []                              # not after an hour
